import { createAuthority, type Authority } from '../support/certificates.ts';
import { startCluster, type Cluster, type ClusterOidc } from '../support/cluster.ts';
import { findTool } from '../support/tools.ts';
import { findKubectl, type Kubectl } from './home.ts';
import { startBroker, type Broker } from './broker.ts';
import type { Screen } from './screen.ts';

/** Where all acts are played: what more than one of them needs is started once, by the first that asks. */
export interface House {
  /** Everything that is written is in here; removed by whoever made it. */
  readonly root: string;
  readonly screen: Screen;
  /** The reader's own browser signs in: then nothing that it meets may need our certificate authority. */
  readonly realBrowser: boolean;
  readonly interrupted: AbortSignal;
  /** Resolves when the programs are there to be run. */
  readonly programs: Promise<void>;
  /** Has what is starting stopped at the end; what started last is stopped first. */
  keep<T>(starting: Promise<T>, stop: (started: T) => Promise<void> | void): Promise<T>;
  authority(): Promise<Authority>;
  kubectl(): Promise<Kubectl | undefined>;
  /** The reader's own API server, if they have named one, else the stand-in. It knows the provider that is named first. */
  cluster(oidc?: ClusterOidc): Promise<Cluster>;
  broker(): Promise<Broker>;
  /** Stops everything; what is still starting is waited for, or it would outlive us. Never throws. */
  end(): Promise<void>;
}

export interface HouseOptions extends Pick<House, 'root' | 'screen' | 'realBrowser' | 'interrupted' | 'programs'> {
  /** The broker knows people, too. */
  readonly people: boolean;
}

export function openHouse({ people, ...options }: HouseOptions): House {
  const kept: (() => Promise<void>)[] = [];
  const house: House = {
    ...options,
    keep(starting, stop) {
      kept.push(() => starting.then(stop).catch(() => undefined));
      return starting;
    },
    authority: once(() => createAuthority('Kleis demo CA')),
    kubectl: once(() => findKubectl(house)),
    cluster: once((oidc?: ClusterOidc) => {
      // It takes no provider over http.
      const kind = findTool('kube') !== undefined && !oidc?.issuerUrl.startsWith('http:') ? '1.36' : 'stand-in';
      return house.keep(startCluster({ kind, ...(oidc && { oidc }) }), (cluster) => cluster.stop());
    }),
    broker: once(() => startBroker(house, people)),
    async end() {
      // oxlint-disable-next-line no-await-in-loop -- what started last stands on what started first
      for (let stop = kept.pop(); stop !== undefined; stop = kept.pop()) await stop();
    },
  };
  return house;
}

function once<Arguments extends unknown[], T>(make: (...given: Arguments) => Promise<T>) {
  let made: Promise<T> | undefined;
  return (...given: Arguments): Promise<T> => (made ??= make(...given));
}
