/** What JSON calls an object, and YAML a mapping. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A JSON object, or nothing. */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** What `-o json` prints: a text that a terminal does not act on. */
export function formatJson(value: unknown): string {
  return `${escapeUnseen(JSON.stringify(value, undefined, 2))}\n`;
}

/** JSON with what a terminal would act on as escapes, which mean the same. */
export function escapeUnseen(json: string): string {
  return json.replace(/[^\n\P{C}]|[\u2028\u2029]/gu, (char) =>
    Array.from({ length: char.length }, (_, unit) => `\\u${char.charCodeAt(unit).toString(16).padStart(4, '0')}`).join(
      '',
    ),
  );
}
