import { Agent, fetch } from 'undici';

export interface KubeAnswer {
  readonly status: number;
  readonly body: {
    readonly items?: readonly { readonly metadata: { readonly name: string } }[];
    /** Of an error (meta/v1 Status). */
    readonly reason?: string;
    readonly message?: string;
    readonly status?: unknown;
  };
}

/** What an API server answers to the bearer of a token, whatever that is. */
export async function request(
  { server, caPem }: { readonly server: string; readonly caPem: string },
  token: string,
  method: string,
  path: string,
  body?: object,
): Promise<KubeAnswer> {
  const dispatcher = new Agent({ connect: { ca: caPem } });
  try {
    const response = await fetch(server + path, {
      method,
      dispatcher,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(10_000),
    });
    return { status: response.status, body: (await response.json()) as KubeAnswer['body'] };
  } finally {
    await dispatcher.close();
  }
}
