// Unbundled, loading the libraries costs more than all else. Arguments are further Nodes to make a code cache for.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';
import { start, wrapper } from './start.mjs';

rmSync('dist', { recursive: true, force: true });
const options = {
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  legalComments: 'none',
  metafile: true,
  write: false,
  // yaml gives Node its CommonJS build, which cannot be shaken and whose names a dynamic import does not see.
  alias: { yaml: './node_modules/yaml/browser/index.js' },
  external: ['keytar'],
  logLevel: 'warning',
};
const builds = await Promise.all([
  build({
    ...options,
    entryPoints: { 'main/kleis': 'cli/main.ts' },
    chunkNames: 'chunks/[name]-[hash]',
    plugins: [inOneChunk('cli/main.ts'), withoutPrograms()],
  }),
  // By itself: what it shares with the other would be thirty files, each with half a millisecond of its start.
  build({
    ...options,
    entryPoints: { 'main/kleis-broker': 'broker/main.ts' },
    chunkNames: 'chunks/broker-[name]-[hash]',
    // OpenTelemetry has both, and its CommonJS cannot be shaken: of 680 kB it is 160.
    mainFields: ['module', 'main'],
    plugins: [withoutUnused()],
  }),
  build({
    ...options,
    entryPoints: { 'main/kleis-get-token': 'cli/main-get-token.ts' },
    chunkNames: 'chunks/get-token-[name]-[hash]',
    plugins: [inOneChunk('cli/main-get-token.ts'), withoutPrograms()],
  }),
  build({ ...options, entryPoints: { 'main/help': 'shared/commands/at-once.ts' } }),
]);
for (const { path, text } of builds.flatMap(({ outputFiles }) => outputFiles)) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, await asCommonJs(text));
}
const { NODE_OPTIONS: _, ...env } = process.env;
const compiler = fileURLToPath(new URL('code-cache.mjs', import.meta.url));
for (const node of [process.execPath, ...process.argv.slice(2)]) {
  // With the same seed each time V8 makes the same bytes; who runs them has one of their own.
  const compile = (files, flags = []) =>
    execFileSync(node, ['--random-seed=1', compiler, 'dist/cache', ...flags, ...files], { env });
  const [kleis, broker, getToken, help] = builds.map(({ metafile }) => metafile);
  // With every function, not only those that would have run by now.
  compile(
    [kleis, getToken, help].flatMap((each) => [
      ...waitedFor(each, /\b(?:cli.(?:main[\w-]*|provider.provider)|shared.commands.at-once)\.ts$/),
    ]),
    ['--no-lazy'],
  );
  // A broker would keep those for weeks; and what is loaded after its main has set flags is taken with the same flags alone.
  const began = waitedFor(broker, /\bbroker.main\.ts$/);
  const served = waitedFor(broker, /\bbroker.commands.(?:serve|addresses)\.ts$/);
  compile(began);
  compile(
    Array.from(served).filter((file) => !began.has(file)),
    flagsOf('broker/main.ts'),
  );
}
writeFileSync('dist/package.json', '{ "type": "commonjs" }\n');
writeFileSync('dist/kleis-credential', withoutComments(readFileSync('cli/credentials/kleis-credential.sh', 'utf8')));
for (const program of ['kleis', 'kleis-get-token', 'kleis-broker']) {
  writeFileSync(`dist/${program}.js`, guard(program), { mode: 0o755 });
}
chmodSync('dist/kleis-credential', 0o755);
// kubectl 1.26 and later run it for the completion of `kubectl kleis` (k8s.io/kubectl, pkg/cmd/plugin/plugin_completion.go).
writeFileSync(
  'dist/kubectl_complete-kleis.js',
  "#!/usr/bin/env node\nprocess.argv.splice(2, 0, '__complete', '--shell', 'kubectl', '--');\nrequire('./kleis.js');\n",
  { mode: 0o755 },
);
await writeHelp();
writeFileSync(
  'dist/THIRD-PARTY-LICENSES.txt',
  licences(builds.flatMap(({ metafile }) => Object.keys(metafile.inputs))),
);

// For the list of what is bundled (cli/packaging/release/sbom.ts); it is in no package.
writeFileSync(
  'dist/metafile.json',
  JSON.stringify(
    ['kleis', 'kleis-broker', 'kleis-get-token', 'help'].map((program, index) => ({
      program,
      inputs: builds[index].metafile.inputs,
    })),
  ),
);

/**
 * Node's loader of modules costs 5 ms before the first one is there. And an `import` of one of Node's own reads all that
 * it exports, some of which is made when it is read: with node:http, Node 22 and later load undici, which takes as long
 * as Node itself (decision 34). Only esbuild's modules can share chunks; they become CommonJS afterwards.
 */
async function asCommonJs(text) {
  const { code } = await transform(text, {
    format: 'cjs',
    platform: 'node',
    target: options.target,
    // A program keeps the text of its functions while it runs; a letter that Latin-1 has not, in a comment, doubles it.
    minifyWhitespace: true,
    // Node shows the whole line where an error was thrown that nobody caught.
    lineLimit: 200,
    define: { 'import.meta.url': 'importMetaUrl' },
    supported: { 'dynamic-import': false },
  });
  if (!code.includes('importMetaUrl')) return code;
  return `const importMetaUrl = require('node:url').pathToFileURL(__filename).href;\n${code}`;
}

/**
 * Makes all that a program loads at its start one chunk: Node takes a quarter of a millisecond for each further file.
 * esbuild divides it by which of the parts that are loaded later need what; so each of them is said to need all of it, which
 * is there by then.
 */
function inOneChunk(entry) {
  return {
    name: 'in one chunk',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\./ }, ({ path, kind, resolveDir }) =>
        kind === 'dynamic-import' && !resolveDir.includes('node_modules')
          ? { path: relative(process.cwd(), join(resolveDir, path)), namespace: 'part' }
          : undefined,
      );
      onLoad({ filter: /^/, namespace: 'part' }, ({ path }) => {
        // The refresh is the second thing that is waited for. What signs in, or proves who the client is, comes after it.
        const isAfterProvider = /cli.(?:provider|sign-in).(?!provider\.ts$)[^/\\]+$/.test(path);
        const before = [entry, ...(isAfterProvider ? ['cli/provider/provider.ts'] : [])];
        const imports = before.map((file) => `import './${file}';`).join('\n');
        return { contents: `${imports}\nexport * from ${JSON.stringify(`./${path}`)};`, resolveDir: process.cwd() };
      });
    },
  };
}

/** The flags that a program gives V8. */
function flagsOf(file) {
  return Array.from(readFileSync(file, 'utf8').matchAll(/^setFlagsFromString\('(.*)'\);$/gm), ([, flag]) => flag);
}

/** The files of those entries, and what is loaded with them. */
function waitedFor({ outputs }, entries) {
  const files = new Set();
  const add = (file) => {
    if (files.has(file)) return;
    files.add(file);
    for (const { path, kind } of outputs[file].imports) if (kind === 'import-statement' && path in outputs) add(path);
  };
  for (const [file, { entryPoint }] of Object.entries(outputs)) {
    if (entries.test(entryPoint)) add(file);
  }
  return files;
}

/** Commander can start a program for a subcommand, of which Kleis has none: Node takes 4 ms to load what starts programs. */
function withoutPrograms() {
  return {
    name: 'without programs',
    setup({ onLoad }) {
      onLoad({ filter: /node_modules.commander.lib.command\.js$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        const contents = text.replace(
          "const childProcess = require('node:child_process');",
          'const childProcess = {};',
        );
        if (contents === text) throw new Error('commander is another one now');
        return { contents };
      });
    },
  };
}

/**
 * Half of what the broker's libraries bring along is never used. iconv-lite's tables and qs are for bodies that Express
 * decodes, and the broker takes bodies as bytes; of the types that mime-db knows it answers with none but these. The broker
 * offers and asks for HTTP/1.1 alone, is one process, and writes its log itself: so nothing that Node has for HTTP/2 and for
 * threads is loaded.
 */
function withoutUnused() {
  const answered = ['application/json', 'application/octet-stream', 'text/html', 'text/plain'];
  const replaced = [
    [
      'iconv-lite/lib/index.js',
      `exports.encodingExists = () => false;
        exports.getDecoder = exports.decode = () => { throw new Error('No charset is known.'); };`,
    ],
    ['qs/lib/index.js', `exports.parse = exports.stringify = () => { throw new Error('No query is taken apart.'); };`],
    ['undici/lib/dispatcher/client-h2.js', never('HTTP/2')],
    ['prom-client/lib/cluster.js', never('cluster of processes')],
    ['prom-client/lib/pushgateway.js', never('push gateway')],
    ['pino/lib/transport.js', never('transport')],
  ];
  const mended = [
    // For exemplars of its own, which are off; where spans are sent it is loaded with what sends them.
    ['prom-client/lib/metrics/processCpuTotal.js', "require('@opentelemetry/api')", '{}'],
    ['pino/lib/tools.js', "require('worker_threads')", '{ isMainThread: true }'],
  ];
  return {
    name: 'without unused',
    setup({ onLoad }) {
      for (const [file, contents] of replaced) {
        if (!existsSync(join('node_modules', file))) throw new Error(`${file} is elsewhere now`);
        onLoad({ filter: moduleAt(file) }, () => ({ contents }));
      }
      for (const [file, before, after] of mended) {
        onLoad({ filter: moduleAt(file) }, ({ path }) => {
          const text = readFileSync(path, 'utf8');
          const contents = text.replace(before, after);
          if (contents === text) throw new Error(`${file} is another one now`);
          return { contents };
        });
      }
      onLoad({ filter: moduleAt('mime-db/db.json') }, ({ path }) => {
        const types = JSON.parse(readFileSync(path, 'utf8'));
        return {
          contents: JSON.stringify(Object.fromEntries(answered.map((type) => [type, types[type]]))),
          loader: 'json',
        };
      });
    },
  };
}

function never(what) {
  return `module.exports = function () { throw new Error('There is no ${what} here.'); };`;
}

function moduleAt(file) {
  return new RegExp(`node_modules.${file.replaceAll('.', '\\.').replaceAll('/', '.')}$`);
}

/** The help of every command and the pages of the manual, from the commands themselves. `SOURCE_DATE_EPOCH`: reproducible-builds.org. */
async function writeHelp() {
  const { outputFiles } = await build({
    entryPoints: ['manual.ts'],
    bundle: true,
    plugins: [withoutParts()],
    format: 'esm',
    platform: 'node',
    target: 'node20',
    write: false,
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire('/');" },
    logLevel: 'warning',
  });
  const { helpPages, manualPages } = await import(
    `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`
  );
  const { SOURCE_DATE_EPOCH: epoch } = process.env;
  const date = (epoch === undefined ? new Date() : new Date(Number(epoch) * 1000)).toISOString().slice(0, 10);
  mkdirSync('dist/man');
  mkdirSync('dist/help');
  for (const page of helpPages) {
    writeFileSync(join('dist/help', `${page.name.replaceAll(' ', '.')}.json`), JSON.stringify(page));
  }
  for (const [name, text] of manualPages(date)) writeFileSync(join('dist/man', name), text);
}

/** What is loaded when a command runs is of no use to who reads about it. */
function withoutParts() {
  return {
    name: 'without parts',
    setup({ onResolve }) {
      onResolve({ filter: /^\./ }, ({ path, kind }) =>
        kind === 'dynamic-import' ? { path, external: true } : undefined,
      );
    },
  };
}

/** A shell reads its script each time, as far as it gets: half of the launcher are words and blanks for people. */
function withoutComments(script) {
  const [shebang, ...lines] = script.split('\n');
  const code = lines.filter((line) => !/^\s*(?:#.*)?$/.test(line));
  return `${[shebang, '# Why it is so: cli/credentials/kleis-credential.sh in the repository.', ...code.map((line) => line.trimStart())].join('\n')}\n`;
}

/** What went into the bundle, with the text of its licence: all of them ask for that. */
function licences(inputs) {
  const packages = new Set(inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? []));
  return [...packages]
    .toSorted()
    .map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
      if (file === undefined || !existsSync(join(folder, file))) throw new Error(`${name} has no licence file`);
      return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
    })
    .join(`\n${'-'.repeat(80)}\n\n`);
}

/**
 * A program that any Node can read: an old one fails on what the real program asks for, with words that help nobody. It
 * knows the version, for which nothing else needs to be loaded; the rest is in start.mjs.
 */
function guard(program) {
  const { engines, version } = JSON.parse(readFileSync('package.json', 'utf8'));
  const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(engines.node);
  return `#!/usr/bin/env node
var node = process.versions.node.split('.').map(Number);
var only = process.argv.length === 3 ? process.argv[2] : '';
if (node[0] < ${major} || (node[0] === ${major} && node[1] < ${minor})) {
  console.error('error: Kleis needs Node ${major}.${minor} or newer; ' + process.execPath + ' is ' + process.versions.node + '.');
  console.error('next:  Put a newer node first on PATH, or install Kleis with one.');
  process.exit(6);
} else if (only === '--version' || only === '-V') {
  console.log('${version}');
} else {
  var fs = require('fs');
  var path = require('path');
  var cache = path.join(__dirname, 'cache', process.version + '-' + process.platform + '-' + process.arch);
  var isCached = fs.existsSync(cache);
  var readCache = function (file) {
    try {
      if (isCached) return fs.readFileSync(path.join(cache, path.basename(file)));
    } catch (error) {}
  };
  var read = function (file) {
    return fs.readFileSync(file, 'utf8');
  };
  var hasPage = fs.existsSync;
  (${String(start)})('${program}', __dirname, { wrapper: ${JSON.stringify(wrapper)}, read: read, readCache: readCache, hasPage: hasPage });
}
`;
}
