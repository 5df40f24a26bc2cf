/** What tells how a call to the API server failed. */
export interface KubeFailure {
  /** HTTP status; undefined if no whole answer came. */
  readonly status?: number | undefined;
  /** The `reason` of the API server's Status (meta/v1); undefined if something else answered, or nothing. */
  readonly reason?: string | undefined;
  /** What the Status is about: the plural of the resource, and the name. */
  readonly about?: { readonly kind: string; readonly name: string } | undefined;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
  /** The request was sent and may have changed something, or may change it yet. Never for a GET. */
  readonly ambiguous: boolean;
  /** It may well succeed in a moment. */
  readonly retryable: boolean;
  /** The answer was longer than whoever asked lets it be. */
  readonly tooLarge?: boolean;
  readonly cause?: unknown;
}

/** A call to the API server that did not succeed. The message is for logs: cleaned, without a token. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly status: number | undefined;
  readonly reason: string | undefined;
  readonly about: { readonly kind: string; readonly name: string } | undefined;
  readonly retryAfter: number | undefined;
  readonly ambiguous: boolean;
  readonly retryable: boolean;
  readonly tooLarge: boolean;

  constructor(message: string, failure: KubeFailure) {
    super(message, { cause: failure.cause });
    this.status = failure.status;
    this.reason = failure.reason;
    this.about = failure.about;
    this.retryAfter = failure.retryAfter;
    this.ambiguous = failure.ambiguous;
    this.retryable = failure.retryable;
    this.tooLarge = failure.tooLarge === true;
  }
}

/** Whether it is the API server's answer with that HTTP status. */
export function isStatus(error: unknown, status: number, reason?: string): error is KubeError {
  return error instanceof KubeError && error.status === status && (reason === undefined || error.reason === reason);
}
