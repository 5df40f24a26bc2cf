import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { boundFor, describeBound, type GoalName, goals, isMet } from './goals.ts';
import { formatPage, formatReport, type Report } from './report.ts';

const names = Object.keys(goals) as GoalName[];

function reportOf(node: string, refresh: number, rest: Partial<Report> = {}): Report {
  return {
    part: 'plugin',
    date: '2026-11-26',
    node,
    machine: '2 cores',
    load: 0.5,
    versions: ['kubectl 1.36.3'],
    tables: [
      {
        title: 'Starts',
        runs: '3 runs',
        columns: [{ heading: 'median', unit: 'ms' }],
        rows: [{ name: 'kleis', cells: [refresh * 20] }],
      },
    ],
    goals: [{ name: 'refresh', is: refresh }],
    missing: [],
    ...rest,
  };
}

describe('a goal', () => {
  it('has the bound of the Node that was measured', () => {
    expect(boundFor('refresh', '20.20.2')).toBe(3.3);
    expect(['22.0.0', '24.21.0', '26.12.1'].map((node) => boundFor('refresh', node))).toEqual([2.4, 2.4, 2.4]);
    expect(describeBound('refresh')).toBe('at most 3.3, from Node 22 on 2.4');
    expect(describeBound('memory')).toBe('at most 90 MiB, from Node 22 on 110 MiB');
  });

  it('is met at its bound, and never by what was not measured', () => {
    expect(isMet({ name: 'refresh', is: 3.3 }, '20.20.2')).toBe(true);
    expect(isMet({ name: 'refresh', is: 3.31 }, '20.20.2')).toBe(false);
    expect(isMet({ name: 'rate plain', is: 0.85 }, '20.20.2')).toBe(true);
    expect(isMet({ name: 'rate plain', is: 0.84 }, '20.20.2')).toBe(false);
    expect(names.filter((name) => isMet({ name, is: NaN }, '24.0.0'))).toEqual([]);
  });
});

describe('the report', () => {
  it('says of each goal whether it is met, with the other build beside it', () => {
    const text = formatReport(reportOf('24.21.0', 2.5, { goals: [{ name: 'refresh', is: 2.5, against: 5.7 }] }));
    expect(text).toMatch(/this build +the other\n/);
    expect(text).toMatch(/MISSED {2}a refresh ÷ `node -e 0` +2\.50 +5\.70 +\(at most 2\.40\)\n/);
  });

  it('names what this machine could not measure', () => {
    expect(formatReport(reportOf('20.20.2', 3, { missing: ['kubectl is not on PATH'] }))).toMatch(
      /Not measured: kubectl is not on PATH\.\n$/,
    );
  });
});

describe('the page', () => {
  const page = formatPage([
    reportOf('24.21.0', 2.5),
    ...[3.1, 9, 3.3].map((value) => reportOf('20.20.2', value)),
    reportOf('20.20.2', 0, { part: 'broker', tables: [], goals: [{ name: 'memory', is: 91 }] }),
  ]);

  it('has a row for every goal, and a column for every Node with the median of its runs', () => {
    expect(page).toContain('|  | goal | Node 20.20.2 | Node 24.21.0 |\n');
    expect(page).toContain(
      '| a refresh ÷ `node -e 0` | at most 3.3, from Node 22 on 2.4 | 3.30 met | 2.50 **missed** |',
    );
    expect(page).toContain(
      '| memory of the broker after 10 000 mints | at most 90 MiB, from Node 22 on 110 MiB | 91 MiB **missed** |  |',
    );
    for (const name of names) expect(page).toContain(`| ${goals[name].text} | ${describeBound(name)} |`);
  });

  it('has the median of each cell, and says of how many runs', () => {
    expect(page).toContain('medians of 3 runs');
    expect(page).toContain('| kleis | 66.0 ms |');
    expect(page).toContain('| kleis | 50.0 ms |');
  });

  it('as it is in docs, has the goals of the code and no other', () => {
    const rows = readFileSync('docs/performance.md', 'utf8')
      .split('\n')
      .filter((line) => /^\|.*\| at (?:most|least) /.test(line))
      .map((line) =>
        line
          .split('|')
          .slice(1, 3)
          .map((cell) => cell.trim()),
      );
    expect(rows).toEqual(names.map((name) => [goals[name].text, describeBound(name)]));
  });
});
