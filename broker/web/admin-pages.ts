import { auditPage } from './admin-audit.tsx';
import { decisionsPage } from './admin-decisions.tsx';
import { explainAction, explainPage } from './admin-explain.tsx';
import { grantsPage } from './admin-grants.tsx';
import { healthPage } from './admin-health.tsx';
import { leasesPage } from './admin-leases.tsx';
import { revokeAllAction, revokeAllPage } from './admin-revoke-all.tsx';
import { revokeAction, revokePage } from './admin-revoke.tsx';
import { adminTexts } from './texts-admin.ts';
import type { PageTable } from './visit.ts';

/** What admins see and do. */
export const adminPages: PageTable = {
  '/ui/admin/leases': { GET: leasesPage, nav: adminTexts.leases.nav },
  '/ui/admin/leases/revoke': { GET: revokePage, POST: revokeAction },
  '/ui/admin/leases/revoke-all': { GET: revokeAllPage, POST: revokeAllAction },
  '/ui/admin/decisions': { GET: decisionsPage, nav: adminTexts.decisions.nav },
  '/ui/admin/explain': { GET: explainPage, POST: explainAction, nav: adminTexts.explain.nav },
  '/ui/admin/grants': { GET: grantsPage, nav: adminTexts.grants.nav },
  '/ui/admin/health': { GET: healthPage, nav: adminTexts.health.nav },
  '/ui/admin/audit': { GET: auditPage, nav: adminTexts.audit.nav },
};
