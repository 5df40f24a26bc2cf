/**
 * The rooms of the house, from the ground up: whoever stands in a room may import what is below it in the same program, what
 * is in `shared`, and nothing else. From this one table come the lint's walls, the list in docs/architecture.md, and the
 * test over the imports.
 */
export interface Room {
  /** A folder, or a file that stands at the top of its program. */
  readonly place: string;
  /** For whom it is, in a sentence. */
  readonly holds: string;
}

export interface Program {
  readonly name: 'shared' | 'broker' | 'cli';
  readonly rooms: readonly Room[];
}

const room = (place: string, holds: string): Room => ({ place, holds });

export const house: readonly Program[] = [
  {
    name: 'shared',
    rooms: [
      room('shared', 'words of both programs: errors, secrets, text, tokens, the protocol between them'),
      room('shared/commands', 'the tree of commands as people read it: help on a terminal, the manual, completion'),
      room('shared/net', 'the one door to the outside: HTTPS, proxies, certificates, when to try again'),
      room('shared/rbac', 'what the RBAC of a cluster lets somebody do, and which of it is a way to more. Pure'),
      room('shared/kube', 'the few calls to a Kubernetes API, and how to sign in there'),
      room('shared/broker-client.ts', 'what is asked of a broker, by whichever program'),
      room('shared/broker-leases.ts', 'what an admin asks of a broker'),
    ],
  },
  {
    name: 'broker',
    rooms: [
      room('broker/surroundings.ts', 'what a command is given: clock, streams, environment, signals'),
      room('broker/policy', 'the caller names a grant: compile, match, decide, say why. Pure'),
      room('broker/config', 'the configuration: read, merge, check, warn, follow its changes'),
      room('broker/issuers', 'a job presents its own token: issuers, their keys, what a subject token must be'),
      room('broker/audit', 'every outcome is one line: events, chain, anchors, verification'),
      room('broker/cluster', 'the clusters, and the token that one of them mints'),
      room('broker/leases', 'what can be taken back and is accepted once: leases, bound objects, sweep'),
      room('broker/rbac', 'what a configuration needs in a cluster: accounts, Roles, admission policies'),
      room('broker/check', 'whether a cluster is as it has to be'),
      room('broker/service', 'everything made from one configuration: clusters, issuers, leases, audit, health'),
      room(
        'broker/contract',
        'what each address asks for, answers and refuses with: judged by and described from one table',
      ),
      room('broker/http', 'what every request passes through: listener, guards, limits, caller, trail, answer'),
      room('broker/routes', 'one address, one file'),
      room(
        'broker/web/session',
        'who signs in to the page: the provider, what a browser keeps sealed, whose form it is',
      ),
      room('broker/web/view', 'what all pages are made of: texts, components, frame, style'),
      room('broker/web/admin', 'the pages for admins, a file for each'),
      room('broker/web', 'the page for people: every address of it, and a file for each page'),
      room('broker/commands', 'one command, one file'),
      room('broker/program.ts', 'the tree of commands'),
      room('broker/process.ts', 'the only code that reads the command line, the environment and the streams'),
      room('broker/main.ts', 'starts the program'),
    ],
  },
  {
    name: 'cli',
    rooms: [
      room('cli/surroundings', 'what a command is given, what a person reads; the only code that reads the process'),
      room('cli/files', 'private files, claims, whose process it is, what a file system says'),
      room('cli/kubeconfig', 'find, read and splice kubeconfigs; which cluster it is'),
      room('cli/settings', 'flags, the cluster extension and config.yaml become one checked whole'),
      room('cli/migrate', 'what entries of other plugins say, in words of Kleis'),
      room('cli/provider', 'one provider as one client sees it: discovery, requests, what its answers mean'),
      room('cli/sign-in', 'browser, device code, paste, and the choice between them'),
      room('cli/credentials', 'what is cached and fresh: the launcher, the cache, the queue, who asked before'),
      room('cli/session', 'one process refreshes: sessions, the keyring, where their tokens may go'),
      room('cli/stores.ts', 'where this person keeps sessions and credentials'),
      room('cli/cluster', 'the few questions to an API server: whom it sees, what they may do, which version it is'),
      room('cli/identity', 'the token that a CI job or a machine has, a file for each platform'),
      room('cli/broker', 'what a broker gives for it'),
      room('cli/get-token', 'what kubectl get pods then does, from top to bottom'),
      room('cli/doctor', 'what is wrong, in the order in which things break, and what is told of it'),
      room('cli/doctor/cluster', 'what of a cluster gives access without an end, or more than it seems'),
      room('cli/setup', 'what an admin gives the provider, the API server and the developers'),
      room('cli/init', 'how somebody comes to an entry: what an address offers, what they are asked'),
      room('cli/commands', 'one command, one file'),
      room('cli/program', 'the commands, a file for each group of them'),
      room('cli/program.ts', 'the tree of commands'),
      room('cli/main.ts', 'starts kleis'),
      room('cli/main-get-token.ts', 'starts kleis-get-token'),
    ],
  },
];

/** What makes parts of a release: in no program, and nothing that a program may import. */
export const workshops = ['broker/deploy', 'cli/packaging'] as const;

/** The room that a source file stands in; undefined if it stands in none. */
export function roomOf(file: string): Room | undefined {
  const folder = file.slice(0, file.lastIndexOf('/'));
  const rooms = house.flatMap((program) => program.rooms);
  // A file with a room of its own stands beside those of its folder.
  return rooms.find(({ place }) => place === file) ?? rooms.find(({ place }) => place === folder);
}
