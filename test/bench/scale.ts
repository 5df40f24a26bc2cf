// `npm run bench -- scale [PART...] [--leases N] [--soak DURATION] [--json]`: what becomes of a broker when there is much.
import { availableParallelism, arch, loadavg, release, type } from 'node:os';
import { parseDuration } from '../../shared/duration.ts';
import { findTool } from '../support/tools.ts';
import { align } from './report.ts';
import { measureCosts } from './scale-costs.ts';
import { measureCrowd } from './scale-crowd.ts';
import { formatPart, type Part } from './scale-part.ts';
import { measureReload } from './scale-reload.ts';
import { measureReplicas } from './scale-replicas.ts';
import { soak } from './scale-soak.ts';
import { parseCall, refuse } from './usage.ts';

const { values, positionals } = parseCall({
  allowPositionals: true,
  options: {
    json: { type: 'boolean' },
    leases: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '5' },
    soak: { type: 'string', default: '5m' },
  },
});
const count = (text: string) => Math.max(1, Number.parseInt(text, 10) || 1);
const say = (text: string) => void process.stderr.write(`${text}\n`);

const parts: Readonly<Record<string, () => Promise<Part>>> = {
  leases: () => measureCrowd({ leases: count(values.leases), rounds: count(values.rounds), say }),
  replicas: () => measureReplicas(),
  reload: () => measureReload(),
  costs: () => measureCosts(),
  soak: () => soak({ duration: parseDuration(values.soak) ?? 300_000, say }),
};

const chosen = positionals.length > 0 ? positionals : Object.keys(parts);
const unknown = chosen.find((name) => !Object.hasOwn(parts, name));
if (unknown !== undefined) refuse(`there is no part ${unknown}`);
if (findTool('kube') === undefined) {
  say('This needs a real kube-apiserver and etcd: KUBEBUILDER_ASSETS names the folder that holds them.');
  process.exit(2);
}

const date = new Date().toISOString().slice(0, 10);
const load1 = loadavg()[0]?.toFixed(1);
const machine = `${availableParallelism()} cores (load ${load1}), ${type()} ${release()} ${arch()}, Node ${process.version}, kube-apiserver 1.36`;
const measured: Part[] = [];
for (const name of chosen) {
  say(`${name} …`);
  measured.push(await parts[name]!());
}
const goals = measured.flatMap((part) => part.goals);
process.stdout.write(
  values.json === true
    ? `${JSON.stringify({ date, machine, parts: measured, goals }, undefined, 2)}\n`
    : `${[
        `${machine}, ${date}`,
        ...measured.map(formatPart),
        ['Goals', '', ...align(goals.map(({ met, text, is }) => [`${met ? 'met   ' : 'MISSED'}  ${text}`, is]))].join(
          '\n',
        ),
      ].join('\n\n')}\n`,
);
process.exit(0);
