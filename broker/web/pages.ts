import { adminPages } from './admin/pages.ts';
import { accessPage, kubeconfigFile } from './access-page.tsx';
import { issuedPage, revokeOwn } from './issued-page.tsx';
import { landingPage } from './landing-page.tsx';
import { callback, signIn, signedOutPage, signOut } from './sign-in.tsx';
import { texts } from './view/texts.ts';
import type { PageTable } from './view/visit.ts';

/** Every address of the page, in the order of the navigation. docs/broker.md says what each is for. */
export const pages: PageTable = {
  '/': { GET: { who: 'anyone', event: 'none', work: landingPage } },
  '/ui': { GET: { who: 'anyone', event: 'none', work: landingPage } },
  '/ui/sign-in': { GET: { who: 'anyone', event: 'none', work: signIn } },
  '/ui/callback': { GET: { who: 'anyone', event: 'sign_in', work: callback } },
  '/ui/sign-out': { POST: { who: 'person', event: 'sign_out', work: signOut } },
  '/ui/signed-out': { GET: { who: 'anyone', event: 'none', work: signedOutPage } },
  '/ui/access': { GET: { who: 'person', event: 'none', work: accessPage }, nav: texts.nav.access },
  '/ui/kubeconfig': { GET: { who: 'person', event: 'kubeconfig', work: kubeconfigFile } },
  '/ui/issued': { GET: { who: 'person', event: 'none', work: issuedPage }, nav: texts.nav.issued },
  '/ui/issued/revoke': { POST: { who: 'person', event: 'revoke', work: revokeOwn } },
  ...adminPages,
};
