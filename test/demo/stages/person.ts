import { join } from 'node:path';
import { startCluster, type Cluster, type ClusterOidc } from '../../support/cluster.ts';
import { startProvider, type TestProvider } from '../../support/provider.ts';
import { createBrowser } from '../browser.ts';
import { makeHome, type Home } from '../home.ts';
import type { House } from '../house.ts';

/** Somebody's machine, the provider where they sign in, and two clusters that believe it. */
export interface PersonStage {
  readonly provider: TestProvider;
  readonly cluster: Cluster;
  readonly second: Cluster;
  readonly home: Home;
  /** The user code of the last sign-in with a device code that has begun; waits for it. */
  userCode(): Promise<string>;
}

export async function setPersonStage(house: House): Promise<PersonStage> {
  const { realBrowser } = house;
  const userCodes = createMailbox<string>();
  const authority = await house.authority();
  const tls = { ...(await authority.issueServer(['localhost'])), ca: authority.cert };
  const starting = startProvider({
    // A browser would warn of a certificate of ours. http is fine on loopback for everybody but kube-apiserver.
    ...(realBrowser ? {} : { tls }),
    accounts: { ann: { email: 'ann@acme.test' } },
    quirks: { before: (_request, response, path) => tellUserCode(response, path, userCodes.put) },
  });
  const provider = await house.keep(starting, (started) => started.stop());
  const oidc: ClusterOidc = {
    issuerUrl: provider.issuer,
    clientId: 'kleis',
    caPem: authority.cert,
    usernameClaim: 'email',
  };
  const [cluster, second] = await Promise.all([
    house.cluster(oidc),
    house.keep(startCluster({ kind: 'stand-in', oidc }), (started) => started.stop()),
  ]);
  const home = await makeHome(house, 'ann', {
    files: { 'cluster-ca.crt': cluster.caPem, 'second-ca.crt': second.caPem, 'company-ca.crt': authority.cert },
    env: { SSL_CERT_FILE: join(house.root, 'ann/company-ca.crt') },
    onBrowser: createBrowser({ house, provider, login: 'ann' }),
  });
  return { provider, cluster, second, home, userCode: userCodes.take };
}

type Response = Parameters<NonNullable<TestProvider['quirks']['before']>>[1];

/** The demo plays the person with the phone, who reads the code off the screen. */
function tellUserCode(response: Response, path: string, tell: (code: string) => void): false {
  if (path !== '/device/auth') return false;
  const end = response.end.bind(response);
  response.end = ((body?: unknown, ...rest: never[]) => {
    const code = /"user_code":"([^"]+)"/.exec(String(body))?.[1];
    if (code !== undefined) tell(code);
    return end(body, ...rest);
  }) as typeof response.end;
  return false;
}

function createMailbox<T>(): { put: (value: T) => void; take: () => Promise<T> } {
  const [letters, readers]: [T[], ((value: T) => void)[]] = [[], []];
  return {
    put(value) {
      const reader = readers.shift();
      if (reader) reader(value);
      else letters.push(value);
    },
    take: () =>
      new Promise((read) => {
        const [letter] = letters.splice(0, 1);
        if (letter === undefined) readers.push(read);
        else read(letter);
      }),
  };
}
