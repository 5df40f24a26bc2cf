import { isObject } from '../../shared/json.ts';
import { type GrantView, routes } from '../../shared/protocol.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import { type BrokerAddress, connectTo } from './connection.ts';

/** Ten thousand grants with their warnings. */
const maxBody = 16 * 1024 * 1024;
const maxItems = 20_000;

/** All grants of a broker. Throws `admin_only`, and what else the broker says. */
export async function readAllGrants(address: BrokerAddress, bearer: Secret): Promise<GrantView[]> {
  const broker = connectTo(address, maxBody);
  const { body } = await broker.request({ method: 'GET', path: routes.grants, bearer });
  return listIn(body['grants'], () => broker.notABroker('it gives no list of grants')).map((item) => {
    const { expires_in: usual, max_expires_in: most, access, warnings } = item;
    return {
      name: clean(item['name'] ?? '', 253),
      issuer: clean(item['issuer'] ?? '', 253),
      cluster: clean(item['cluster'] ?? '', 253),
      account: clean(item['account'] ?? '', 600),
      expires_in: Number(usual) || 0,
      max_expires_in: Number(most) || 0,
      revocable: item['revocable'] === true,
      ...(Array.isArray(access) && { access: access.slice(0, 1000).map((part) => clean(part, 400)) }),
      ...(Array.isArray(warnings) && {
        warnings: warnings
          .slice(0, 100)
          .filter(isObject)
          .map(({ code, message }) => ({ code: clean(code ?? '', 80), message: clean(message ?? '', 400) })),
      }),
    };
  });
}

/** A part of the broker, or of what it needs. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** A replica with this fault gets no requests. */
  readonly critical: boolean;
  readonly pending: boolean;
  readonly message: string;
}

export interface BrokerHealth {
  readonly ready: boolean;
  /** Undefined where the broker tells them at its address for operations alone. */
  readonly checks: readonly Check[] | undefined;
}

/** `GET /readyz`, as an admin. Throws what the broker says. */
export async function readHealth(address: BrokerAddress, bearer: Secret): Promise<BrokerHealth> {
  const broker = connectTo(address, maxBody);
  const { body } = await broker.request({ method: 'GET', path: routes.readyz, bearer, alsoAnswers: 503 });
  const fault = () => broker.notABroker('it does not say whether it is ready');
  if (typeof body['ready'] !== 'boolean') throw fault();
  const checks = body['checks'] === undefined ? undefined : listIn(body['checks'], fault);
  return {
    ready: body['ready'],
    checks: checks?.map(({ name, ok, critical, pending, message }) => ({
      name: clean(name ?? '', 200),
      ok: ok === true,
      critical: critical === true,
      pending: pending === true,
      message: clean(message ?? '', 600),
    })),
  };
}

function listIn(value: unknown, fault: () => Error): Readonly<Record<string, unknown>>[] {
  if (!Array.isArray(value) || value.length > maxItems || !value.every(isObject)) throw fault();
  return value;
}
