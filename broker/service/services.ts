import type { Logger } from 'pino';
import type { Anchoring } from '../audit/anchors.ts';
import type { AuditLog } from '../audit/log.ts';
import type { Background } from './background.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { ClusterPlaces } from '../cluster/public-addresses.ts';
import type { Clock } from '../surroundings.ts';
import type { Dropped } from './dropped-grants.ts';
import type { Counters } from './counters.ts';
import type { FollowedFiles } from './followed-files.ts';
import type { LeaseServices } from '../leases/lifecycle.ts';
import type { Overview } from '../leases/overview.ts';
import type { Issuers } from '../issuers/issuers.ts';
import type { PublicIssuers } from '../issuers/public-issuers.ts';
import type { Recent } from './recent.ts';
import type { Spans } from './spans.ts';
import type { Telemetry } from './telemetry.ts';

/** What a request works with: one snapshot, taken when it comes, so that it is judged by one configuration to its end. */
export interface Services {
  readonly loaded: LoadedConfig;
  readonly issuers: Issuers;
  /** The store of leases, and the clusters. */
  readonly leases: LeaseServices;
  /** As of now, not of the snapshot. */
  readonly dropped: Dropped;
  readonly places: ClusterPlaces;
  readonly publicIssuers: PublicIssuers;
  readonly files: FollowedFiles;
  readonly audit: AuditLog;
  /** Undefined where the state is in memory. */
  readonly anchoring: Anchoring | undefined;
  /** What the audit of this replica told lately. */
  readonly recent: Recent;
  /** The leases, for people to look through. */
  readonly overview: Overview;
  readonly telemetry: Telemetry;
  /** Where the environment says to whom they are sent. */
  readonly spans: Spans | undefined;
  /** By issuer and tenant. */
  readonly counters: Counters;
  readonly clock: Clock;
  readonly log: Logger;
  readonly background: Background;
}
