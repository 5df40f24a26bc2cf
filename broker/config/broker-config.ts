import type { AdminRule } from '../policy/admins.ts';
import type { Grant } from '../policy/grant.ts';
import type { Platform } from './platforms.ts';

// A configuration as the broker works with it: whole, checked, with what a document left out. Durations are milliseconds.

export interface IssuerConfig {
  readonly name: string;
  /** Exactly as the issuer writes it in `iss`. Undefined only with `cluster`: then it is what that API server says. */
  readonly url: string | undefined;
  /** Name of the cluster whose API server is the issuer: its keys come through the connection that the broker has. */
  readonly cluster?: string;
  /** As configured, else as guessed; undefined if nobody knows. */
  readonly platform: Platform | undefined;
  readonly audience: string;
  readonly singleUse: boolean;
  readonly tenantClaim?: string;
  readonly certificateAuthority?: string;
  readonly algorithms?: readonly string[];
  /** Milliseconds since `iat`. */
  readonly maxAge?: number;
  /** Milliseconds. */
  readonly leeway: number;
  readonly jwks?: string;
  /** Claims that say who somebody is and are never given to somebody else. */
  readonly idClaims: readonly string[];
  /** How people sign in there. */
  readonly signIn?: {
    readonly clientId: string;
    /** Beside `openid`. */
    readonly scopes?: readonly string[];
    readonly certificateAuthority?: string;
  };
}

export type ClusterCredentials =
  | { readonly inCluster: true }
  | { readonly kubeconfig: string; readonly context?: string }
  | { readonly tokenFile: string; readonly renew?: boolean };

export interface ClusterConfig {
  readonly name: string;
  readonly server?: string;
  readonly certificateAuthority?: string;
  readonly tlsServerName?: string;
  readonly credentials: ClusterCredentials;
  readonly audiences?: readonly string[];
  readonly identityNamespace: string;
  readonly ephemeralNamespace: string;
  readonly systemNamespace: string;
  readonly serviceAccount: string;
}

/** Somebody else who may write in the system namespace, and what. */
export interface WriterConfig {
  readonly account: { readonly namespace: string; readonly name: string };
  /** Undefined: where the broker runs. */
  readonly cluster?: string;
  readonly secrets: readonly string[];
  readonly configMaps: readonly string[];
}

/** The page at which people sign in. */
export interface WebConfig {
  /** Name of an entry of `issuers` that has a URL. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecretFile?: string;
  readonly cookieKeyFile: string;
  /** One line for people. */
  readonly contact?: string;
  /** Milliseconds. */
  readonly session: number;
}

export interface BrokerConfig {
  /** Without a trailing slash. */
  readonly publicUrl: string;
  readonly listen: { readonly address: string; readonly tls?: { readonly certFile: string; readonly keyFile: string } };
  readonly state: { readonly cluster: string; readonly namespace: string } | { readonly memory: true };
  readonly audit: { readonly file: string };
  readonly admins: readonly AdminRule[];
  readonly issuers: Readonly<Record<string, IssuerConfig>>;
  readonly clusters: Readonly<Record<string, ClusterConfig>>;
  readonly grants: Readonly<Record<string, Grant>>;
  readonly admissionPolicy: 'required' | 'optional';
  readonly namespaces: { readonly writers: readonly WriterConfig[] };
  readonly trustedProxies: readonly string[];
  readonly limits: {
    /** Requests a minute. */
    readonly perAddress: number;
    readonly perIssuer: number;
    readonly perTenant: number;
    /** Live leases. `perSubject`: of one `sub` of one issuer. */
    readonly leases: { readonly perGrant: number; readonly perSubject: number };
  };
  readonly web?: WebConfig;
  readonly metrics?: { readonly listen: string };
  /** Milliseconds. */
  readonly reload: { readonly maxStale: number };
}
