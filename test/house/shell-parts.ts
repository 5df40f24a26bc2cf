import { readFileSync } from 'node:fs';

const folder = 'cli/packaging/shell';

/** Files that hold a script of that folder, between `# made: NAME` and `# end`, as far in as these are. */
const places = ['cli/packaging/gitlab/templates/kleis/template.yml', 'cli/packaging/circleci/orb.yml'];

/** A plugin of Buildkite is a folder, so it has a copy of them. */
const copies = ['begin.sh', 'end.sh'].map((name) => ({
  file: `cli/packaging/buildkite/lib/${name}`,
  make: () => readFileSync(`${folder}/${name}`, 'utf8'),
}));

export const shellParts = [
  ...places.map((file) => ({
    file,
    make: (text: string) =>
      text.replaceAll(/^( *)# made: (\S+)\n[^]*?^\1# end$/gm, (_, indent: string, name: string) => {
        const script = readFileSync(`${folder}/${name}`, 'utf8').trimEnd();
        const lines = [`# made: ${name}`, ...script.split('\n'), '# end'];
        return lines.map((line) => (line === '' ? '' : `${indent}${line}`)).join('\n');
      }),
  })),
  ...copies,
];
