/** All that was written to a stream that nobody reads meanwhile: newer Nodes give one chunk at each `read()`. */
export function readAll(stream: unknown): string {
  const from = stream as { read(): Buffer | string | null };
  let text = '';
  for (let chunk = from.read(); chunk !== null; chunk = from.read()) text += String(chunk);
  return text;
}
