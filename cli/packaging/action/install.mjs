// @ts-check
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Failure, fromRunner, run } from './runner.mjs';

const releases = 'https://github.com/kleis-dev/kleis/releases/download';
const program = process.platform === 'win32' ? 'kleis.exe' : 'kleis';

/** @typedef {{ readonly version: string, readonly download: string, readonly sha256: string }} Wanted */

/**
 * The folder with the programs of exactly that version: one of PATH, else one of the tool cache, else from the archive of
 * the release, whose SHA-256 is checked.
 *
 * @param {Wanted} wanted @returns {Promise<string>}
 */
export async function install(wanted) {
  const { version, sha256 } = wanted;
  if (!/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version)) {
    throw new Failure(`"${version}" is no version of Kleis.`, 'Write it as 1.2.3, or leave version out.');
  }
  if (sha256 !== '' && !/^[\da-f]{64}$/i.test(sha256)) {
    throw new Failure('sha256 is no SHA-256.', 'It has 64 digits of hex: take it from the SHA256SUMS of the release.');
  }
  const found = sha256 === '' ? await onPath(version) : undefined;
  if (found !== undefined) return found;
  const cache = process.env['RUNNER_TOOL_CACHE'] || fromRunner('RUNNER_TEMP');
  const folder = join(cache, 'kleis', version, process.arch);
  // As the actions of GitHub have it: the file is there when the folder is whole. It holds the sum of the archive.
  const complete = `${folder}.complete`;
  const kept = existsSync(complete) ? readFileSync(complete, 'utf8').trim() : undefined;
  if (kept === undefined || (sha256 !== '' && kept !== sha256.toLowerCase())) {
    const sum = await fetchInto(folder, wanted);
    writeFileSync(complete, `${sum}\n`);
  }
  return folder;
}

/** @param {string} version @returns {Promise<string | undefined>} */
async function onPath(version) {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => isAbsolute(folder));
  const folder = folders.find((each) => existsSync(join(each, program)));
  if (folder === undefined) return undefined;
  const { stdout } = await run(join(folder, program), ['--version']);
  return stdout.trim() === version ? folder : undefined;
}

/** @param {string} folder @param {Wanted} wanted @returns {Promise<string>} the sum of the archive */
async function fetchInto(folder, { version, download, sha256 }) {
  const archive = archiveOf(version);
  const from = download === '' ? `${releases}/v${version}` : download.replace(/\/+$/, '');
  mkdirSync(dirname(folder), { recursive: true });
  const work = mkdtempSync(join(dirname(folder), 'unpack-'));
  try {
    const file = join(work, archive);
    await get(from, archive, file);
    const sum = createHash('sha256').update(readFileSync(file)).digest('hex');
    const wanted = sha256 === '' ? await sumOf(from, archive, work) : sha256.toLowerCase();
    if (sum !== wanted) {
      throw new Failure(
        `${archive} of ${from} has the SHA-256 ${sum}, not ${wanted}: it is not installed.`,
        'If you gave sha256, correct it; else somebody or something between has changed the file.',
      );
    }
    const unpacked = join(work, 'unpacked');
    mkdirSync(unpacked);
    // Windows has one of its own, which reads zip as well; the one of Git on PATH does not.
    const tar = process.platform === 'win32' ? join(fromRunner('SystemRoot'), 'System32', 'tar.exe') : 'tar';
    const { code, stderr } = await run(tar, ['-xf', file, '-C', unpacked]);
    if (code !== 0) throw new Failure(`tar cannot unpack ${archive}: ${stderr.trim()}`, 'Put tar on PATH.');
    // It holds one folder, which is called as it is.
    const programs = join(unpacked, archive.replace(/\.(?:tar\.gz|zip)$/, ''));
    if (!existsSync(join(programs, program))) {
      throw new Failure(`${archive} holds no ${program}.`, 'Look at what download names.');
    }
    rmSync(folder, { recursive: true, force: true });
    renameSync(programs, folder);
    return sum;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** @param {string} version */
function archiveOf(version) {
  const name = `${process.platform}-${process.arch}`;
  const known = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64'];
  const { header } = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (process.report.getReport());
  const musl = process.platform === 'linux' && header.glibcVersionRuntime === undefined;
  if (musl || !known.includes(name)) {
    throw new Failure(
      `There is no program of Kleis for ${musl ? 'Alpine and other systems with musl' : name}.`,
      `With Node 20.20 or later it runs: a step "npm install --global kleis@${version}" before this one, and this one takes that.`,
    );
  }
  return `kleis-${version}-${name}.${process.platform === 'win32' ? 'zip' : 'tar.gz'}`;
}

/** @param {string} from @param {string} archive @param {string} work @returns {Promise<string>} */
async function sumOf(from, archive, work) {
  const file = join(work, 'SHA256SUMS');
  await get(from, 'SHA256SUMS', file);
  const lines = readFileSync(file, 'utf8').split('\n');
  const sums = lines.flatMap((line) =>
    /^([\da-f]{64}) [ *](.+)$/.exec(line)?.[2] === archive ? [line.slice(0, 64)] : [],
  );
  if (sums.length === 1) return /** @type {string} */ (sums[0]);
  throw new Failure(`SHA256SUMS of ${from} has ${sums.length} lines for ${archive}.`, 'Look at what download names.');
}

/** @param {string} from @param {string} name @param {string} file */
async function get(from, name, file) {
  if (!/^https?:/i.test(from)) {
    await copyFile(join(from, name), file).catch(() => {
      throw new Failure(`There is no ${name} in ${from}.`, 'Correct download: an https URL or a folder.');
    });
    return;
  }
  // A process of its own: only at its start does Node look whether there is a proxy.
  const fetcher = fileURLToPath(new URL('fetch.mjs', import.meta.url));
  const env = { ...process.env, NODE_USE_ENV_PROXY: '1' };
  const { code, stderr } = await run(process.execPath, [fetcher, `${from}/${name}`, file], { env, timeout: 400_000 });
  if (code === 0) return;
  throw new Failure(
    `${from}/${name} could not be downloaded: ${stderr.trim()}`,
    'Run the job again; where the runner does not reach it, name a mirror or a folder with download.',
  );
}
