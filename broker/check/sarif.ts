import { createHash } from 'node:crypto';
import { relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import packageJson from '../../package.json' with { type: 'json' };
import { documentUrl, repository } from '../../shared/document-url.ts';
import { sentencesOf } from '../../shared/findings.ts';
import { clean } from '../../shared/text.ts';
import { ruleOf } from './codes.ts';
import type { PlacedFinding } from './findings.ts';

/** Where findings are shown that say no place: what a platform cannot show beside a line it does not show at all. */
type Locate = (about: string) => { readonly file: string; readonly line: number; readonly column: number };

type Json = Readonly<Record<string, unknown>>;

/** SARIF 2.1.0 (OASIS) of what is wrong or unwise, as GitHub, GitLab and Azure DevOps show it beside the lines of a change. */
export function toSarif(findings: readonly PlacedFinding[], locate: Locate): Json {
  const shown = findings.filter(({ severity }) => severity !== 'ok');
  const ids = [...new Set(shown.map(({ code }) => code))];
  const occurrences = new Map<string, number>();
  return {
    $schema: 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'kleis-broker',
            semanticVersion: packageJson.version,
            informationUri: repository,
            rules: ids.map(describeRule),
          },
        },
        // Of lines and columns, as the configuration's own faults count them.
        columnKind: 'utf16CodeUnits',
        results: shown.map((finding) => describeResult(finding, ids.indexOf(finding.code), locate, occurrences)),
      },
    ],
  };
}

function describeRule(id: string): Json {
  const { about = id, page = 'docs/broker.md', level = 'warning' } = ruleOf(id) ?? {};
  const helpUri = documentUrl(page);
  const text = about.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', '');
  const plain = `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
  return {
    id,
    shortDescription: { text: plain },
    help: { text: `${plain} See ${helpUri}`, markdown: `${plain} See [${page}](${helpUri}).` },
    helpUri,
    defaultConfiguration: { level },
    properties: { tags: ['kubernetes', 'security'] },
  };
}

function describeResult(
  finding: PlacedFinding,
  ruleIndex: number,
  locate: Locate,
  occurrences: Map<string, number>,
): Json {
  const { code, about, severity, place } = finding;
  const { file, line, column } = place ?? locate(about);
  const uri = uriOf(file);
  // Not of the line, which moves: of what it is about. What is found twice of it is counted.
  const subject = place === undefined ? about : place.path === '' ? finding.what : place.path;
  const key = createHash('sha256')
    .update(JSON.stringify([code, uri, subject]))
    .digest('hex')
    .slice(0, 32);
  const count = (occurrences.get(key) ?? 0) + 1;
  occurrences.set(key, count);
  return {
    ruleId: code,
    ruleIndex,
    level: severity,
    message: { text: clean(sentencesOf(finding), 4000) },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri, ...(!uri.startsWith('file:') && { uriBaseId: '%SRCROOT%' }) },
          region: { startLine: line, startColumn: column },
        },
        logicalLocations: [{ fullyQualifiedName: clean(subject, 400) }],
      },
    ],
    partialFingerprints: { 'kleis/v1': `${key}:${count}` },
  };
}

/** Relative to the folder that this runs in, which in CI is that of the repository; whole where it is not within. */
function uriOf(file: string): string {
  const path = relative('', file);
  if (path === '' || path.startsWith('..') || path === resolve(path)) return pathToFileURL(file).href;
  return path.split(sep).map(encodeURIComponent).join('/');
}
