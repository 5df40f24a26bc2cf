/** Every way in which an API server refuses, as a `Status` object (meta/v1). */
export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: number, reason: string, message: string, details?: Readonly<Record<string, unknown>>) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  toStatus(): object {
    const { code, reason, message, details } = this;
    return { apiVersion: 'v1', kind: 'Status', metadata: {}, status: 'Failure', message, reason, details, code };
  }
}

export const unauthorized = (): ApiError => new ApiError(401, 'Unauthorized', 'Unauthorized');

export const badRequest = (message: string): ApiError => new ApiError(400, 'BadRequest', message);

export const unknownPath = (): ApiError =>
  new ApiError(404, 'NotFound', 'the server could not find the requested resource');

export const notFound = (resource: string, name: string): ApiError =>
  new ApiError(404, 'NotFound', `${resource} "${name}" not found`, { name, kind: resource });

export const alreadyExists = (resource: string, name: string): ApiError =>
  new ApiError(409, 'AlreadyExists', `${resource} "${name}" already exists`, { name, kind: resource });

export const conflict = (resource: string, name: string, why: string): ApiError =>
  new ApiError(409, 'Conflict', `Operation cannot be fulfilled on ${resource} "${name}": ${why}`, {
    name,
    kind: resource,
  });

/** As the field validation of kube-apiserver says it. */
export const invalid = (resource: string, name: string, why: string): ApiError =>
  new ApiError(422, 'Invalid', `${resource} "${name}" is invalid: ${why}`, { name, kind: resource });

/** A `continue` from before the last compaction. */
export const expired = (): ApiError =>
  new ApiError(410, 'Expired', 'The provided continue parameter is too old to display a consistent list result.');
