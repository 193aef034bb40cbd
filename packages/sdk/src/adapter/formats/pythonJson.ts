/** @file Formats JSON like Python's json module, so that files compare equal. */

/**
 * Formats like `json.dumps(value, indent=2, sort_keys=True)`, but keeps the order of nested objects, which matters in
 * patterns.
 * @param floats keys, at any depth, whose integers are Python floats, so that 0 becomes 0.0
 */
export function pythonJson(members: ReadonlyMap<string, unknown>, floats: ReadonlySet<string>): string {
  const lines = [...members.keys()].sort().map((key) => {
    const value = members.get(key);
    const text = `${JSON.stringify(key)}: ${JSON.stringify(value, null, 2) ?? 'null'}`;
    const withPoints = text.replaceAll(/"(\w+)": (-?\d+)(?=,?$)/gm, (member, name: string) => (floats.has(name) ? `${member}.0` : member)); // prettier-ignore
    return `  ${withPoints.replaceAll(/(?<=[ [])-?(?:0\.0000\d+|\d(?:\.\d+)?e-\d+)(?=,?$)/gm, smallInPython).replaceAll('\n', '\n  ')}`; // prettier-ignore
  });
  // Python escapes non-ASCII characters.
  return `{\n${lines.join(',\n')}\n}`.replace(
    /[\u0080-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Numbers below 1e-4: Python writes two-digit exponents, `6e-05`. */
function smallInPython(text: string): string {
  return Number(text)
    .toExponential()
    .replace(/e-(\d)$/, 'e-0$1');
}

/** The keys, at any depth, whose integers Python wrote as floats. */
export function floatsOf(text: string): string[] {
  return [...text.matchAll(/"(\w+)": -?\d+\.0(?=,?\s*$)/gm)].map(([, key]) => key!);
}
