import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { simulate, type World } from './simulation.ts';

const world: World = {
  regions: 3,
  clusters: 30,
  jobsPerHour: 1_500,
  onTheHour: 0.2,
  hours: 2,
  replicas: 2,
  state: 'own',
  lost: { region: 0, from: 1_200, until: 3_000 },
  costs: {
    broker: 0.003,
    stateCreate: 0.004,
    stateDelete: 0.004,
    targetMint: 0.008,
    targetDelete: 0.004,
    stateCores: 2,
    targetCores: 2,
    sweepRate: 100,
    kept: 900,
  },
  perIssuer: 6_000,
  impatient: 0.2,
  patience: 2_400,
  seed: 1,
};
const without = (whole: World): World => {
  const { lost, ...rest } = whole;
  return lost === undefined ? whole : rest;
};
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

const anyWorld = fc
  .record({
    seed: fc.nat(),
    state: fc.constantFrom('own' as const, 'shared' as const),
    region: fc.nat({ max: 2 }),
    from: fc.nat({ max: 5_000 }),
    length: fc.nat({ max: 4_000 }),
    slow: fc.constantFrom(1, 30, 300),
    perIssuer: fc.constantFrom(5, 6_000),
    jobsPerHour: fc.integer({ min: 1, max: 1_500 }),
  })
  .map(({ region, from, length, slow, ...rest }): World => {
    const { costs } = world;
    return {
      ...world,
      ...rest,
      lost: { region, from, until: from + length },
      costs: { ...costs, stateCreate: costs.stateCreate * slow, targetMint: costs.targetMint * slow },
    };
  });

describe('the simulation', () => {
  it('loses no job and no lease: each job is served, refused or waits, and each that is served has one lease', () => {
    fc.assert(
      fc.property(anyWorld, (any) => {
        const { regions, states } = simulate(any);
        expect(sum(regions.map(({ arrived }) => arrived))).toBe(any.jobsPerHour * any.hours);
        for (const { arrived, served, refused, waiting } of regions) {
          expect(served + refused + waiting).toBe(arrived);
          expect(Math.min(served, refused, waiting)).toBeGreaterThanOrEqual(0);
        }
        expect(sum(states.map(({ taken }) => taken))).toBe(sum(regions.map(({ served }) => served)));
        for (const { taken, removed, mostLive } of states) {
          expect(removed).toBeLessThanOrEqual(taken);
          expect(mostLive).toBeGreaterThanOrEqual(taken - removed);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('mints nothing where everything is lost, and with a shared state nothing anywhere', () => {
    const { from, until } = world.lost!;
    const minutes = (perMinute: readonly number[]) => sum(perMinute.slice(from / 60 + 1, until / 60));
    const own = simulate(world).regions.map(({ perMinute }) => minutes(perMinute));
    expect(own[0]).toBe(0);
    expect(Math.min(...own.slice(1))).toBeGreaterThan(0);
    expect(simulate({ ...world, state: 'shared' }).regions.map(({ perMinute }) => minutes(perMinute))).toEqual([
      0, 0, 0,
    ]);
  });

  it('leaves regions with their own state untouched by the loss of another', () => {
    expect(simulate(world).regions.slice(1)).toEqual(simulate(without(world)).regions.slice(1));
  });

  it('serves every job where nothing is lost and there is room', () => {
    const { regions } = simulate({ ...without(world), hours: 1 });
    // The last of them came a moment before the end.
    for (const { refused, waiting, inVain } of regions) expect([refused, waiting <= 2, inVain]).toEqual([0, true, 0]);
  });

  it('gives the same for the same seed, and something else for another', () => {
    expect(simulate(world)).toEqual(simulate(world));
    expect(simulate({ ...world, seed: 2 })).not.toEqual(simulate(world));
  });

  it('has no processor do more than there is time for, nor a replica take more than its limit', () => {
    fc.assert(
      fc.property(anyWorld, (any) => {
        const { regions, states } = simulate(any);
        // Work counts for the minute in which it begins.
        const longest = Math.max(any.costs.stateCreate, any.costs.stateDelete);
        for (const { busiest } of states) expect(busiest).toBeLessThanOrEqual(1 + longest / 60 + 1e-9);
        // What a minute took may be served a moment later.
        for (const { perMinute } of regions) {
          for (let minute = 1; minute < perMinute.length; minute += 1) {
            expect(perMinute[minute - 1]! + perMinute[minute]!).toBeLessThanOrEqual(3 * any.perIssuer * any.replicas);
          }
        }
      }),
      { numRuns: 20 },
    );
  });
});
