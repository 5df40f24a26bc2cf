import packageJson from '../../package.json' with { type: 'json' };

/** Where a file that is no program must hold the version of the package, and what stands around it there. */
const places: readonly { readonly file: string; readonly around: RegExp }[] = [
  { file: 'cli/packaging/action/action.yml', around: /(?<=The version of Kleis\n {4}default: )\S+/ },
];

export const versionParts = places.map(({ file, around }) => ({
  file,
  make(text: string) {
    if (!around.test(text)) throw new Error(`${file} has no place for the version`);
    return text.replace(around, packageJson.version);
  },
}));
