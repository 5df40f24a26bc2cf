/**
 * What a command works with, whole and checked: made once by `resolveSettings` from flags, the cluster's extension and
 * the person's configuration, then only read.
 */
export interface Settings {
  /** https, or http on loopback. Exactly as written: RFC 8414 compares issuers as strings. */
  readonly issuerUrl: string;
  readonly clientId: string;
  readonly clientSecretFile: string | undefined;
  readonly clientKeyFile: string | undefined;
  /** Without duplicates; always with `openid` for a person's sign-in. */
  readonly scopes: readonly string[];
  readonly audience: string | undefined;
  readonly resource: string | undefined;
  /** Additional parameters of the authorization and device authorization request. */
  readonly authParams: Readonly<Record<string, string>>;
  readonly login: 'auto' | 'browser' | 'device' | 'paste';
  readonly identity: 'sso' | 'client-credentials';
  readonly token: 'id' | 'access';
  readonly account: string | undefined;
  readonly cache: 'auto' | 'keyring' | 'file' | 'none';
  /** HOST:PORT, loopback only, tried in turn; port 0 is any free one. */
  readonly listenAddress: readonly string[];
  readonly redirectUri: string | undefined;
  readonly dpop: boolean;
  /** A PEM file; when given, nothing else is trusted for the provider. */
  readonly certificateAuthority: string | undefined;
  /** Milliseconds. */
  readonly minValidity: number;
  /** Milliseconds. */
  readonly loginTimeout: number;
  readonly force: boolean;

  // From the person's configuration alone: no flag or extension of a kubeconfig may name a command.
  readonly browserCommand: readonly string[] | undefined;
  readonly proxy: string | undefined;
  readonly confirmNewClusters: boolean;
}
