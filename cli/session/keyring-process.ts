/** What the standalone executable is called as when it is to be the helper. */
export const helperName = 'kleis-keyring';

/** The program of the helper (keyring-helper.ts), where `load` gives keytar. */
export const helperText = `
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => {});
const answer = (id, fields) => process.stdout.write(JSON.stringify({ id, ...fields }) + '\\n');
let rest = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (text) => {
  const lines = (rest + text).split('\\n');
  rest = lines.pop();
  for (const line of lines) run(JSON.parse(line));
});
process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL'));
async function run({ id, call, args }) {
  try {
    answer(id, { value: await load()[call](...args) });
  } catch (error) {
    answer(id, { error: String(error && error.message) });
  }
}
`;
