import packageJson from '../package.json' with { type: 'json' };

export const repository = packageJson.homepage.replace(/#.*/, '');

/** @param page a path in the repository, with an anchor or without */
export function documentUrl(page: string): string {
  return `${repository}/blob/main/${page}`;
}
