import { auditPage } from './audit-page.tsx';
import { decisionsPage } from './decisions-page.tsx';
import { explainAction, explainPage } from './explain-page.tsx';
import { grantsPage } from './grants-page.tsx';
import { healthPage } from './health-page.tsx';
import { leasesPage } from './leases-page.tsx';
import { revokeAllAction, revokeAllPage } from './revoke-all-page.tsx';
import { revokeAction, revokePage } from './revoke-page.tsx';
import { adminTexts } from './texts.ts';
import type { PageTable } from '../view/visit.ts';

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
