import { createAuthority } from '../support/certificates.ts';
import { startCluster, type Cluster, type ClusterOidc, type ClusterOptions } from '../support/cluster.ts';
import { built } from '../support/built.ts';
import { createPerson, type Person } from '../support/kleis.ts';
import type { RunResult } from '../support/run.ts';
import { startProvider, type ProviderOptions, type TestProvider } from '../support/provider.ts';

/** A provider, clusters that believe it, and people who have Kleis: what a story needs. */
export interface World {
  readonly provider: TestProvider;
  startCluster(kind: ClusterOptions['kind'], how?: ClusterOidc['how'], flags?: readonly string[]): Promise<Cluster>;
  /** A new person at each call. `config` is their `config.yaml`, beside where their browser listens. */
  person(config?: Readonly<Record<string, unknown>>): Promise<Person>;
  /** The flags of `kubeconfig add` and `login` for this provider. */
  readonly flags: readonly string[];
  /** From now on the clusters refuse (401) new tokens of alice, which are valid in every other respect. */
  distrust(distrusted: boolean): void;
  /** Removes the people made so far: after each story. */
  removePeople(): Promise<void>;
  end(): Promise<void>;
}

const scopes = ['email', 'groups', 'offline_access'];

export async function createWorld(options: ProviderOptions = {}): Promise<World> {
  const authority = await createAuthority();
  const ca = authority.cert;
  const [tls, programs] = await Promise.all([authority.issueServer(['localhost']), built()]);
  const accounts: Record<string, Record<string, unknown>> = {};
  const provider = await startProvider({ accounts, ...options, tls: { ...tls, ca } });
  const clusters: Cluster[] = [];
  let people: Person[] = [];
  const removePeople = async () => {
    await Promise.all(people.map((person) => person.remove()));
    people = [];
  };
  return {
    provider,
    flags: ['--issuer-url', provider.issuer, ...scopes.flatMap((scope) => ['--scope', scope])],
    async startCluster(kind, how = 'flags', flags = []) {
      const oidc = { issuerUrl: provider.issuer, clientId: 'kleis', caPem: ca, how, usernameClaim: 'email' };
      const cluster = await startCluster({ kind, oidc, flags });
      clusters.push(cluster);
      return cluster;
    },
    async person(config = {}) {
      // Any free port: the well-known one may be taken by another test.
      const where = { redirectUri: 'http://127.0.0.1:0/callback', login: 'browser', cache: 'file' };
      const person = await createPerson({ ...programs, providerCa: ca, config: { ...where, ...config } });
      people.push(person);
      return person;
    },
    distrust(distrusted) {
      // Kubernetes takes no name from an address that the provider calls unverified; everybody else takes the token.
      accounts['alice'] = { email_verified: !distrusted };
    },
    removePeople,
    async end() {
      await removePeople();
      await Promise.all(clusters.map((cluster) => cluster.stop()));
      await provider.stop();
    },
  };
}

/** What somebody else reads when a story goes wrong: all of it at once. */
export function said({ code, stdout, stderr }: RunResult): { code: number; stdout: string; stderr: string } {
  return { code, stdout, stderr };
}
