import { randomUUID } from 'node:crypto';
import { type BrokerAnswer, type BrokerConnection, readRevocation } from '../../shared/broker-client.ts';
import { parseObject } from '../../shared/json.ts';
import {
  idempotencyHeader,
  issuedTokenTypes,
  type RevokeResponse,
  routes,
  tokenExchangeGrant,
} from '../../shared/protocol.ts';
import { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import { type BrokerAddress, connectTo } from './connection.ts';

/** What a broker gives for a subject token. Times in milliseconds since the epoch. */
export interface MintedToken {
  readonly token: Secret;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** The handle that the broker keeps it under, if it keeps any. */
  readonly lease: string | undefined;
  readonly revocable: boolean;
  readonly grant: string;
  /** By its name at the broker. */
  readonly cluster: string | undefined;
}

export interface ExchangeRequest {
  readonly subject: Secret;
  /** RFC 8693 section 3. */
  readonly subjectType: string;
  readonly grant: string;
  /** Milliseconds; undefined takes what the grant gives. */
  readonly ttl: number | undefined;
}

/** What a broker says of the issuers that it takes tokens of. */
export interface KnownIssuer {
  readonly issuer: string;
  readonly audience: string;
}

export interface BrokerClient {
  /**
   * RFC 8693. Asks again where nobody knows whether an answer got lost, with the same `Idempotency-Key`, so that the
   * broker gives one token for it. Throws what the broker says (with its reason and request id), `provider_unavailable`,
   * `broker_invalid`.
   */
  exchange(request: ExchangeRequest): Promise<MintedToken>;
  /** RFC 7009. Throws as `exchange`; `token_type_unsupported` for a token that cannot be revoked. */
  revoke(token: Secret): Promise<RevokeResponse>;
  /** From `/.well-known/kleis`; kept for a few minutes if there is a memory. */
  issuers(): Promise<readonly KnownIssuer[]>;
  /** What was kept has turned out to be wrong. */
  forgetIssuers(): void;
}

/** Where the client may leave a note for the next process; nothing secret. */
export interface Memory {
  read(): string | undefined;
  /** @param until milliseconds since the epoch */
  write(text: string, until: number): void;
  remove(): void;
}

export interface BrokerOptions extends BrokerAddress {
  readonly memory?: Memory | undefined;
}

const memoryLifetime = 600_000;
const maxBody = 256 * 1024;

export function openBroker({ memory, ...address }: BrokerOptions): BrokerClient {
  const { clock, report } = address.deps;
  const broker = connectTo(address, maxBody);

  return {
    async exchange({ subject, subjectType, grant, ttl }) {
      const form = new URLSearchParams({
        grant_type: tokenExchangeGrant,
        subject_token: subject.reveal(),
        subject_token_type: subjectType,
        scope: grant,
        requested_token_type: issuedTokenTypes[0] ?? '',
      });
      if (ttl !== undefined) form.set('expires_in', String(Math.ceil(ttl / 1000)));
      const headers = { [idempotencyHeader]: randomUUID() };
      const answer = await broker.request({ method: 'POST', path: routes.token, form, headers });
      const minted = readMinted(answer, grant, broker);
      for (const warning of warningsOf(answer)) report.warn(`${broker.host}: ${warning}`);
      return minted;
    },

    async revoke(token) {
      const form = new URLSearchParams({ token: token.reveal() });
      return readRevocation(await broker.request({ method: 'POST', path: routes.revoke, form }), broker);
    },

    async issuers() {
      const kept = memory?.read();
      const known = kept === undefined ? undefined : readIssuers(parseObject(kept));
      if (known !== undefined) return known;
      const issuers = readIssuers((await broker.request({ method: 'GET', path: routes.wellKnown })).body);
      if (issuers === undefined) throw broker.notABroker('its /.well-known/kleis names no issuers');
      memory?.write(JSON.stringify({ issuers }), clock.now() + memoryLifetime);
      return issuers;
    },

    forgetIssuers() {
      memory?.remove();
    },
  };
}

function readMinted({ body, sentAt }: BrokerAnswer, grant: string, broker: BrokerConnection): MintedToken {
  const { access_token: token, token_type: type, expires_in: lifetime, lease, cluster } = body;
  if (typeof token !== 'string' || !/^[\x21-\x7e]{1,16384}$/.test(token)) {
    throw broker.notABroker('its answer holds no token');
  }
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') {
    throw broker.notABroker('what it gives is no bearer token');
  }
  if (typeof lifetime !== 'number' || !(lifetime > 0) || lifetime > 2 ** 32) {
    throw broker.notABroker('it does not say how long the token lives');
  }
  return {
    token: new Secret(token),
    issuedAt: sentAt,
    expiresAt: sentAt + lifetime * 1000,
    lease: typeof lease === 'string' ? clean(lease, 253) : undefined,
    revocable: body['revocable'] === true,
    grant,
    cluster: typeof cluster === 'string' ? clean(cluster, 253) : undefined,
  };
}

function warningsOf({ body: { warnings } }: BrokerAnswer): string[] {
  return Array.isArray(warnings) ? warnings.slice(0, 4).map((warning) => clean(warning, 300)) : [];
}

function readIssuers(known: Readonly<Record<string, unknown>> | undefined): KnownIssuer[] | undefined {
  const issuers = known?.['issuers'];
  if (!Array.isArray(issuers)) return undefined;
  return issuers.slice(0, 1000).flatMap((item: unknown) => {
    const { issuer, audience } = (item ?? {}) as Record<string, unknown>;
    return isLine(issuer) && isLine(audience) ? [{ issuer, audience }] : [];
  });
}

function isLine(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && clean(value, 2048) === value;
}
