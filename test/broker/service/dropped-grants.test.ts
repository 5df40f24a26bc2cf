import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDropped, revokeDropped } from '../../../broker/service/dropped-grants.ts';
import { type LeaseServices, openLease } from '../../../broker/leases/lifecycle.ts';
import { load } from '../rbac/fixture.ts';
import { leaseRequest, minute, mintFor, startStateWorld, type StateWorld } from '../leases/world.ts';

let world: StateWorld;
let leases: LeaseServices;

beforeAll(async () => {
  world = await startStateWorld({ cluster: 'stand-in', memory: false });
  leases = world.replica();
});
afterEach(() => {
  world.clock.offset = 0;
});
afterAll(() => world.stop());

const now = () => world.clock.now();
const { config } = load();

/** A replica that starts now. */
function start() {
  const dropped = createDropped(now);
  const services = {
    dropped,
    loaded: load(),
    audit: { record: async () => undefined },
    telemetry: { revoked: () => undefined },
    log: { warn: () => undefined },
  };
  const asked: (string | undefined)[] = [];
  const counted: LeaseServices = {
    ...leases,
    store: {
      ...leases.store,
      list: async (query) => {
        asked.push(query.grant);
        return leases.store.list(query);
      },
    },
  };
  return { dropped, asked, look: async () => revokeDropped(services, counted, new AbortController().signal) };
}

/** Gives the status of its token. */
async function mintOf(grant: string): Promise<() => Promise<number>> {
  const opened = await openLease(leases, leaseRequest(now(), { grant, endsAt: now() + 600 * minute }));
  const { token } = await mintFor(leases, opened, 12 * 60 * 60);
  return async () => world.ask(token.reveal());
}

describe('a token of a grant that is not in the configuration', () => {
  it('of a replica with a newer one is left alone by those with the old one, whenever they look', async () => {
    const old = start();
    world.clock.offset = minute;
    const status = await mintOf('newer');
    world.clock.offset = 2 * minute;
    const anew = start();
    for (const minutes of [2, 12, 16.5]) {
      world.clock.offset = minutes * minute;
      await Promise.all([old.look(), anew.look()]);
    }
    world.clock.offset = 600 * minute;
    await old.look();
    expect(await status()).toBe(201);
  });

  it('is revoked after 15 minutes by a replica that started when the grant had gone', async () => {
    const [status, kept] = [await mintOf('gone'), await mintOf('deploy-web')];
    world.clock.offset = minute;
    const { look } = start();
    world.clock.offset = 15.5 * minute;
    await look();
    expect(await status()).toBe(201);
    world.clock.offset = 16 * minute;
    await look();
    expect([await status(), await kept()]).toEqual([401, 201]);
  });

  it('is revoked at once by a replica that saw it go, unless it was minted later or the grant came back', async () => {
    const { dropped, look } = start();
    const [before, back] = [await mintOf('seen'), await mintOf('back')];
    dropped.follow(config, ['seen', 'back']);
    dropped.follow({ ...config, grants: { back: config.grants['deploy-web']! } }, []);
    world.clock.offset = minute;
    const later = await mintOf('seen');
    await look();
    expect([await before(), await back(), await later()]).toEqual([401, 201, 201]);
  });

  it('is looked for among all leases only by a replica that has run for 15 minutes; before, by the name of its grant', async () => {
    const { dropped, asked, look } = start();
    await look();
    expect(asked).toEqual([]);
    dropped.follow(config, ['seen']);
    await look();
    expect(asked).toEqual(['seen']);
    world.clock.offset = 15 * minute;
    await look();
    expect(new Set(asked.slice(1))).toEqual(new Set([undefined]));
  });

  it('is revoked at once also where more of them went than are asked for one by one', async () => {
    const status = await mintOf('seen-39');
    const { dropped, look } = start();
    dropped.follow(
      config,
      Array.from({ length: 40 }, (_, index) => `seen-${index}`),
    );
    await look();
    expect(await status()).toBe(401);
  });
});
