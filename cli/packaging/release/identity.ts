/** Who makes releases, as Sigstore's certificates name it: the workflow, at a tag of a version. */
export const releaseIssuer = 'https://token.actions.githubusercontent.com';
export const releaseSubject = String.raw`^https://github\.com/kleis-dev/kleis/\.github/workflows/release\.yml@refs/tags/v[0-9]+\.[0-9]+\.[0-9]+$`;
