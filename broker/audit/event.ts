import type { ErrorCode } from '../../shared/errors.ts';

/** One outcome. Nothing in here is a token; text from outside went through `clean()`. */
export interface AuditEvent {
  readonly event:
    | 'started'
    | 'stopped'
    /** The audit could not be written for a while; `lost` outcomes are not in it. */
    | 'resumed'
    /** Somebody cut the file short while it was written (`copytruncate`): lines may be gone. */
    | 'truncated'
    | 'config'
    | 'exchange'
    /** The first request of an address within a minute that was one too many; those after it are only counted. */
    | 'limited'
    /** A token that was minted and did not reach its caller. */
    | 'withdrawn'
    | 'revoke'
    | 'explain'
    | 'kubeconfig'
    /** Somebody who signed in asked at /.well-known/kleis what is theirs. */
    | 'grants'
    | 'leases'
    /** At the web page. */
    | 'sign_in'
    | 'sign_out';
  readonly outcome: 'done' | 'allowed' | 'denied' | 'failed';
  /** Why; the code of the error, or the reason of the decision. */
  readonly reason?: string | undefined;
  readonly code?: ErrorCode | undefined;
  /** For who reads the audit, not for the caller. */
  readonly detail?: string | undefined;
  readonly requestId?: string | undefined;
  readonly traceId?: string | undefined;
  readonly address?: string | undefined;
  /** As the configuration calls it; only of a token that was verified. */
  readonly issuer?: string | undefined;
  readonly subject?: string | undefined;
  /** Of the token that was verified, as its issuer calls it. */
  readonly subjectJti?: string | undefined;
  /** SHA-256 (hex) of the token that the caller presented. */
  readonly subjectSha256?: string | undefined;
  /** Who asks, where the token that it is about is somebody else's. */
  readonly asker?: Pick<AuditEvent, 'issuer' | 'subject' | 'subjectJti' | 'subjectSha256'> | undefined;
  readonly grant?: string | undefined;
  readonly cluster?: string | undefined;
  /** namespace/name */
  readonly account?: string | undefined;
  /** Claims that the grant looks at, as the token has them. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined;
  readonly failed?: readonly { readonly claim: string; readonly seen: string }[] | undefined;
  /** SHA-256 (hex) of the configuration that decided. */
  readonly policy?: string | undefined;
  readonly lease?: string | undefined;
  /** Lease of the earlier token that this one replaces. */
  readonly retry?: boolean | undefined;
  /** Of the minted token: the API server's audit log has it as `credential-id`. */
  readonly jti?: string | undefined;
  /** RFC 3339, of the minted token. */
  readonly expires?: string | undefined;
  /** Seconds. */
  readonly asked?: number | undefined;
  readonly warnings?: readonly string[] | undefined;
  readonly host?: string | undefined;
  readonly version?: string | undefined;
  /** How many outcomes went unrecorded, since the audit could not be written. */
  readonly lost?: number | undefined;
}
