// `npm run bench -- simulate [--json]`: 1 000 clusters, 100 000 jobs an hour, one region lost for an hour; by measured costs.
import { align } from './report.ts';
import { type Costs, type Result, simulate, type World } from './simulation.ts';
import { parseCall } from './usage.ts';

/**
 * Seconds of one processor, as `npm run bench -- scale costs` measures them for a lease and a Secret: API server and
 * etcd together. docs/scale.md says on which machine.
 */
const measured: Costs = {
  broker: 0.0027,
  stateCreate: 0.0026,
  stateDelete: 0.0031,
  targetMint: 0.0081,
  targetDelete: 0.0031,
  stateCores: 2,
  targetCores: 2,
  sweepRate: 180,
  kept: 26 * 60,
};

const region = { region: 0, from: 3600, until: 7200 };
const usual: World = {
  regions: 4,
  clusters: 1_000,
  jobsPerHour: 100_000,
  onTheHour: 0.1,
  hours: 3,
  replicas: 3,
  state: 'own',
  costs: measured,
  perIssuer: 6_000,
  impatient: 0.2,
  patience: 5_400,
  seed: 1,
};

const scenarios: readonly { readonly name: string; readonly world: World }[] = [
  { name: 'nothing is lost', world: usual },
  { name: 'a state for each region, one region lost', world: { ...usual, lost: region } },
  { name: 'one state for all, its region lost', world: { ...usual, state: 'shared', lost: region } },
  {
    name: 'one state for all, another region lost',
    world: { ...usual, state: 'shared', lost: { ...region, region: 1 } },
  },
];

const { values } = parseCall({ options: { json: { type: 'boolean' } } });
const results = scenarios.map(({ name, world }) => ({ name, world, result: simulate(world) }));
process.stdout.write(values.json === true ? `${JSON.stringify(results, undefined, 2)}\n` : format());

function format(): string {
  const { regions, clusters, jobsPerHour, hours } = usual;
  const head = [
    '',
    'jobs',
    'served',
    'refused',
    'waiting at most',
    'p50',
    'p99',
    'mints/s at most',
    'in vain',
    'caught up after',
  ];
  const table = results.flatMap(({ name, world, result }) => [
    [name],
    ...rowsOf(result, world.lost?.region).map(([what, ...cells]) => [`  ${what}`, ...cells]),
  ]);
  const states = results.flatMap(({ name, result }) =>
    result.states.map((state) => [
      `${name}, region ${state.region}`,
      String(state.taken),
      String(state.mostLive),
      `${(state.busiest * 100).toFixed(0)} %`,
      `${(state.longestWait * 1000).toFixed(0)} ms`,
    ]),
  );
  return `${[
    `${clusters} clusters in ${regions} regions, ${jobsPerHour} jobs an hour for ${hours} hours; a loss is from 1:00 to 2:00`,
    '',
    ...align([head, ...table]),
    '',
    ...align([['state cluster', 'leases taken', 'live at most', 'busiest minute', 'longest wait'], ...states]),
  ].join('\n')}\n`;
}

/** The lost region, and the others together. */
function rowsOf({ regions }: Result, lost: number | undefined): string[][] {
  const groups = [
    ...(lost === undefined ? [] : [{ what: `region ${lost}`, members: [regions[lost]!] }]),
    {
      what: lost === undefined ? 'all regions' : 'the others',
      members: regions.filter((_, index) => index !== lost),
    },
  ];
  return groups.map(({ what, members }) => {
    const sum = (of: (region: Result['regions'][number]) => number) =>
      members.reduce((total, each) => total + of(each), 0);
    const most = (of: (region: Result['regions'][number]) => number) => Math.max(...members.map(of));
    return [
      what,
      ...[sum((each) => each.arrived), sum((each) => each.served), sum((each) => each.refused)].map(String),
      String(sum((each) => each.mostWaiting)),
      duration(most((each) => each.p50)),
      duration(most((each) => each.p99)),
      String(most((each) => each.mostMints)),
      String(sum((each) => each.inVain)),
      duration(most((each) => each.caughtUpAfter)),
    ];
  });
}

function duration(seconds: number): string {
  if (seconds === 0) return '';
  return seconds < 1
    ? `${(seconds * 1000).toFixed(0)} ms`
    : seconds < 120
      ? `${seconds.toFixed(1)} s`
      : `${(seconds / 60).toFixed(0)} min`;
}
