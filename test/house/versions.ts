import packageJson from '../../package.json' with { type: 'json' };

const { version } = packageJson;

/** Where a file that is no program must hold the version of the package, and what stands before it there. */
const places: readonly { readonly file: string; readonly after: RegExp }[] = [
  { file: 'cli/packaging/action/action.yml', after: /The version of Kleis\n {4}default: / },
  {
    file: 'cli/packaging/gitlab/templates/kleis/template.yml',
    after: /(?:The version of Kleis\n +default: |kleis-ci:)/,
  },
  { file: 'cli/packaging/gitlab/README.md', after: /(?:kleis@|blob\/v)/ },
  {
    file: 'cli/packaging/circleci/orb.yml',
    after: /(?:The version of Kleis\n +type: string\n +default: |kleis-ci:|kleis@)/,
  },
  { file: 'cli/packaging/buildkite/README.md', after: /(?:kleis#v|blob\/v)/ },
  { file: 'cli/packaging/buildkite/hooks/pre-command', after: /_VERSION:-/ },
  { file: 'docs/broker.md', after: /kleis-broker --version / },
  { file: 'docs/ci/github-actions.md', after: /(?:packaging\/action@v|kleis@)/ },
  { file: 'docs/ci/gitlab.md', after: /kleis\/kleis@/ },
  { file: 'docs/ci/circleci.md', after: /kleis-dev\/kleis@/ },
  { file: 'docs/ci/buildkite.md', after: /kleis#v/ },
];

export const versionParts = places.map(({ file, after }) => ({
  file,
  make(text: string) {
    const all = new RegExp(`(?<=${after.source})\\d+\\.\\d+\\.\\d+(?:-[\\w.]+)?`, 'g');
    if (!all.test(text)) throw new Error(`${file} has no place for the version`);
    return text.replace(all, version);
  },
}));
