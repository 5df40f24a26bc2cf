import { formatDuration } from '../../../shared/duration.ts';

/** Every text of the page that is not from the configuration, a cluster, a claim or an error. */
export const texts = {
  lang: 'en',
  product: 'Kleis',

  frame: {
    skip: 'Skip to the content',
    navigation: 'Pages',
    signedInAs: 'Signed in as',
    admin: 'admin',
    signOut: 'Sign out',
    foot: 'Kleis: short-lived, scoped access to Kubernetes.',
  },

  nav: { access: 'My access', issued: 'Issued to me' },

  copy: 'Copy',
  copied: 'Copied',
  earlier: 'Previous',
  later: 'Next',
  search: 'Search',
  clear: 'Show all',

  landing: {
    title: 'Access to your clusters',
    lead: 'Sign in to see which Kubernetes clusters are yours, get kubectl working with one command, and take back what you were given.',
    signIn: 'Sign in',
    at: (host: string) => `You sign in at ${host}, as you do everywhere.`,
    points: [
      [
        'Your clusters',
        'Which are yours, what you may do there, and for how long: what your groups say at the moment.',
      ],
      [
        'One command',
        'It writes them into your kubeconfig. kubectl then gets a short-lived token by itself, each for one cluster.',
      ],
      [
        'In your hands',
        'See what was issued to you, and from where; take it back with a click. This page keeps no password and no token.',
      ],
    ],
  },

  access: {
    title: 'My access',
    lead: (grants: number, clusters: number) =>
      `${count(grants, 'grant is', 'grants are')} yours, in ${count(clusters, 'cluster', 'clusters')}.`,
    connect: 'Connect kubectl',
    system: 'Your system',
    systems: { linux: 'Linux', mac: 'macOS', windows: 'Windows' },
    install: 'Install Kleis, once. It needs Node 20.20 or newer; docs/install.md of Kleis has other ways.',
    add: 'Write your clusters into your kubeconfig. A browser opens for you to sign in.',
    use: 'Use kubectl as ever: it gets a new token by itself.',
    instead: 'Or take a kubeconfig as a file',
    insteadWhy: 'It holds no token: kubectl runs Kleis, which gets one. Download it anew when your access changes.',
    download: 'Download kubeconfig',
    useFile: 'kubectl --kubeconfig kleis.yaml get pods',
    grants: 'What you may do',
    server: 'Server',
    unreachable: 'This cluster cannot be described at the moment.',
    may: 'You may',
    unsaid: 'What its account may do is not in the configuration of this broker.',
    lasts: 'A token lasts',
    upTo: (usual: string, most: string) => (usual === most ? usual : `${usual}, up to ${most} if you ask`),
    revocable: 'can be revoked',
    notRevocable: 'lives to its end',
    find: 'Find a cluster, a grant or a right',
    nothingFound: 'Nothing of yours has that in it.',
    issued: 'See what was issued to you',
  },

  noAccess: {
    title: 'Nothing is yours yet',
    lead: 'You are signed in, and no grant of this broker is for you.',
    ask: 'Ask to be added to a group that has access:',
    askAdmin: 'Ask whoever runs this broker to be added to a group that has access.',
    send: 'Send them this, so that they see what the broker sees:',
    again: 'Groups are read when you sign in: after a change, sign out and in again.',
    issuer: 'Issuer',
    subject: 'Subject',
    person: 'Person',
    groups: 'Groups',
    noGroups: 'The provider names no groups.',
  },

  issued: {
    title: 'Issued to me',
    lead: 'Tokens that were given to you, on every machine that you use. A revoked one opens nothing within a minute.',
    grant: 'Grant',
    cluster: 'Cluster',
    when: 'Issued',
    ends: 'Ends',
    state: 'State',
    from: 'From',
    fromUnknown: 'not known',
    act: 'Action',
    states: {
      live: 'live',
      ended: 'ended',
      revoked: 'revoked',
      revoking: 'being revoked',
      withdrawing: 'withdrawn',
      withdrawn: 'withdrawn',
      free: 'never issued',
    },
    revoke: 'Revoke',
    sure: 'kubectl asks for a new token with its next command.',
    revokeYes: 'Yes, revoke it',
    fixed: 'cannot be revoked',
    empty: 'Nothing was issued to you lately.',
    emptyWhy: 'What kubectl asks for with your sign-in appears here, as long as it lives.',
    fault:
      'What is issued cannot be read at the moment: this may be old, or not all of it. Open the page again in a moment.',
    more: 'There may be more: leases are still being read. Open the page again in a moment.',
    cut: 'Your name at the provider is too long to tell your tokens from those of others. Ask an admin of this broker to revoke one.',
    done: (seconds: number) =>
      seconds === 0
        ? 'The token is revoked: nothing takes it any more.'
        : `The token is revoked: nothing takes it any more in ${seconds} seconds.`,
    over: 'That token had ended already.',
    notRevocable:
      'That token cannot be revoked: it lives to its end. The job or sign-in that it was for gets no other by it.',
  },

  signedOut: {
    title: 'You are signed out',
    lead: 'The page has forgotten you. Tokens that kubectl holds live to their end unless you revoke them.',
    again: 'Sign in again',
  },

  fault: {
    title: (status: number) =>
      status === 404
        ? 'There is no such page'
        : status === 401 || status === 403
          ? 'This is not possible'
          : status === 429
            ? 'Too many requests'
            : status >= 500
              ? 'Something is wrong'
              : 'This did not work',
    next: 'What to do',
    request: 'Request',
    code: 'Code',
    start: 'To the start page',
    signIn: 'Sign in',
  },
} as const;

export function count(number: number, one: string, several: string): string {
  return `${number.toLocaleString(texts.lang)} ${number === 1 ? one : several}`;
}

/** Where one is in a list. */
export function rangeOf(first: number, last: number, all: number): string {
  return `${first.toLocaleString(texts.lang)} to ${last.toLocaleString(texts.lang)} of ${all.toLocaleString(texts.lang)}`;
}

/** Milliseconds, for people: `15 minutes`, `1 hour 30 minutes`. */
export function duration(milliseconds: number): string {
  const minutes = Math.round(milliseconds / 60_000);
  if (minutes < 1) return formatDuration(milliseconds);
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60), minutes % 60];
  const parts = [
    days > 0 && count(days, 'day', 'days'),
    hours > 0 && count(hours, 'hour', 'hours'),
    rest > 0 && count(rest, 'minute', 'minutes'),
  ];
  return parts
    .filter((part) => part !== false)
    .slice(0, 2)
    .join(' ');
}

/** How far off a time is: `in 5 minutes`, `2 hours ago`, `now`. */
export function distance(time: number, now: number): string {
  const off = time - now;
  if (Math.abs(off) < 30_000) return 'now';
  const text = duration(Math.max(60_000, Math.abs(off)));
  return off > 0 ? `in ${text}` : `${text} ago`;
}
