/** The section of a version, without its heading. Throws what is to be mended before there can be a release. */
export function notesOf(tag: string, version: string, changelog: string): string {
  if (tag !== `v${version}`) {
    throw new Error(
      `The tag is ${JSON.stringify(tag)}, and package.json has version ${version}: the tag must be v${version}. ` +
        `Delete the tag, then set the version (npm version) or the right tag.`,
    );
  }
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((each) => new RegExp(`^${version.replaceAll('.', '\\.')}(?:\\s|$)`).test(each));
  if (section === undefined) {
    const first = sections[0]?.split('\n', 1)[0] ?? 'nothing';
    throw new Error(
      `CHANGELOG.md has no section "## ${version}"; its first one is "${first}". ` +
        `Give what is unreleased the number and the date of the release.`,
    );
  }
  const text = section.slice(section.indexOf('\n') + 1).trim();
  if (text === '') throw new Error(`CHANGELOG.md says nothing of ${version}. Say what a user notices.`);
  return `${text}\n`;
}
