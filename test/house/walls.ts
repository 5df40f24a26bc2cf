import { house, type Room } from './rooms.ts';

/** The lint's walls, made from the table of rooms: an override for each, as it stands in .oxlintrc.json. */
export interface Wall {
  readonly files: readonly string[];
  readonly rules: { readonly 'no-restricted-imports': readonly ['error', { readonly patterns: readonly Pattern[] }] };
}

interface Pattern {
  readonly regex: string;
  readonly message: string;
}

const isFile = ({ place }: Room) => place.endsWith('.ts');

export function makeWalls(): Wall[] {
  return house.flatMap(({ name, rooms }) =>
    rooms.map((each, floor) => {
      const depth = (isFile(each) ? 1 : each.place.split('/').length) satisfies number;
      const top = depth === 1 ? '\\./' : '\\.\\./';
      const above = rooms.slice(floor + 1).filter(({ place }) => place !== name);
      const names = above.map(({ place }) => place.slice(name.length + 1).replaceAll('.', '\\.'));
      const others = ['shared', 'broker', 'cli', 'test'].filter((other) => other !== name && other !== 'shared');
      const patterns: Pattern[] = [
        {
          regex: `^${'\\.\\./'.repeat(depth)}(?:${others.join('|')})/`,
          message:
            name === 'shared' ? 'shared imports neither cli nor broker.' : 'cli and broker never import each other.',
        },
      ];
      if (names.length > 0) {
        const folders = `^${top}(?:${names.join('|')})(?:/|$)`;
        patterns.push({ regex: folders, message: `Imports go down: ${each.place} stands below that.` });
      }
      return {
        files: [isFile(each) ? each.place : `${each.place}/*.{ts,tsx}`],
        rules: { 'no-restricted-imports': ['error', { patterns }] },
      };
    }),
  );
}
