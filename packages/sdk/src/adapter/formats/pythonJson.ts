/** @file JSON text as Python's json module writes it, so that files of both worlds compare equal. */

/**
 * The text of an object as `json.dumps(value, indent=2, sort_keys=True)` gives it, save that nested objects keep their
 * order: in PEFT's pattern tables the first match counts, and sorting would change what an adapter means.
 *
 * @param floats keys, at any depth, whose numbers Python holds as floats, so that 0 is written as 0.0.
 */
export function pythonJson(members: ReadonlyMap<string, unknown>, floats: ReadonlySet<string>): string {
  const lines = [...members.keys()].sort().map((key) => {
    const value = members.get(key);
    const text = `${JSON.stringify(key)}: ${JSON.stringify(value, null, 2) ?? 'null'}`;
    const withPoints = text.replaceAll(/"(\w+)": (-?\d+)(?=,?$)/gm, (member, name: string) => (floats.has(name) ? `${member}.0` : member)); // prettier-ignore
    return `  ${withPoints.replaceAll(/(?<=[ [])-?(?:0\.0000\d+|\d(?:\.\d+)?e-\d+)(?=,?$)/gm, smallInPython).replaceAll('\n', '\n  ')}`; // prettier-ignore
  });
  // Python escapes whatever is not ASCII.
  return `{\n${lines.join(',\n')}\n}`.replace(
    /[\u0080-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A number below a ten-thousandth, which Python writes with an exponent of two digits: `6e-05`. */
function smallInPython(text: string): string {
  return Number(text)
    .toExponential()
    .replace(/e-(\d)$/, 'e-0$1');
}

/** The keys of a text that Python wrote, at any depth, whose whole numbers have a point: floats of Python's. */
export function floatsOf(text: string): string[] {
  return [...text.matchAll(/"(\w+)": -?\d+\.0(?=,?\s*$)/gm)].map(([, key]) => key!);
}
