import { describe, expect, it } from 'vitest';
import { notesOf } from '../../cli/packaging/release/changelog.ts';

const changelog =
  '# Changelog\n\nHow.\n\n## 1.10.0 - 2027-02-01\n\n* New.\n\n## 1.1.0 - 2027-01-01\n\n### Added\n\n* Old.\n\n## 1.0.0\n';

describe('the notes of a release', () => {
  it('are what the CHANGELOG says of that version and no other', () => {
    expect(notesOf('v1.1.0', '1.1.0', changelog)).toBe('### Added\n\n* Old.\n');
    expect(notesOf('v1.10.0', '1.10.0', changelog)).toBe('* New.\n');
  });

  it.each([
    [
      '1.1.0',
      '1.1.0',
      /The tag is "1\.1\.0", and package\.json has version 1\.1\.0: the tag must be v1\.1\.0\. Delete/,
    ],
    ['v1.1.1', '1.1.0', /the tag must be v1\.1\.0/],
    ['', '1.1.0', /the tag must be v1\.1\.0/],
    ['v1.1.0\n', '1.1.0', /the tag must be v1\.1\.0/],
    ['v1.1.2', '1.1.2', /has no section "## 1\.1\.2"; its first one is "1\.10\.0 - 2027-02-01"\. Give/],
    // The dot is no sign for any character.
    ['v1.1x0', '1.1x0', /has no section/],
    ['v1.0.0', '1.0.0', /says nothing of 1\.0\.0/],
  ])('there are none for the tag %j and version %s', (tag, version, message) => {
    expect(() => notesOf(tag, version, changelog)).toThrow(message);
  });
});
