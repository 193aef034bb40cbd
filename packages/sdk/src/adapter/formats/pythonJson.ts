/** @file JSON text as Python's json module writes it, so that files of both worlds compare equal. */

/**
 * The text of an object as `json.dumps(value, indent=2, sort_keys=True)` gives it, save that nested objects keep their
 * order: in PEFT's pattern tables the first match counts, and sorting would change what an adapter means.
 *
 * @param floats keys whose numbers Python holds as floats, so that 0 is written as 0.0.
 */
export function pythonJson(members: ReadonlyMap<string, unknown>, floats: ReadonlySet<string>): string {
  const lines = [...members.keys()].sort().map((key) => {
    const value = members.get(key);
    const text = JSON.stringify(value, null, 2) ?? 'null';
    const number = floats.has(key) && Number.isInteger(value) ? `${text}.0` : text;
    return `  ${JSON.stringify(key)}: ${number.replaceAll('\n', '\n  ')}`;
  });
  // Python escapes whatever is not ASCII.
  return `{\n${lines.join(',\n')}\n}`.replace(
    /[\u0080-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
