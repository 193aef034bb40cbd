/** @file Writes a template's values as Python, and so Jinja, does: `True`, `None`, `['a', 1.5]`. */

export interface RuntimeValue {
  /** The library's class name: `StringValue`. */
  readonly type: string;
  readonly value: unknown;
  toString(): string;
}

/** Python's `str` of a value. */
export function pythonText(value: RuntimeValue | undefined): string {
  return value?.type === 'StringValue' ? String(value.value) : pythonLiteral(value);
}

/** Python's `repr` of a value. */
function pythonLiteral(made: RuntimeValue | undefined): string {
  const { type, value } = made ?? {};
  if (type === 'NullValue') return 'None';
  if (value === undefined) return '';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return quoted(value);
  if (Array.isArray(value)) {
    const items = (value as RuntimeValue[]).map(pythonLiteral).join(', ');
    return type === 'TupleValue' ? `(${items})` : `[${items}]`;
  }
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<string, RuntimeValue>)];
    return `{${entries.map(([key, each]) => `${quoted(key)}: ${pythonLiteral(each)}`).join(', ')}}`;
  }
  return made!.toString();
}

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  return quote + text.replaceAll(/[\\\n\r\t]/g, (each) => escapes[each]!).replaceAll(quote, `\\${quote}`) + quote;
}

/** Python's `strip`, `lstrip` and `rstrip` of the given characters. */
export function stripped(text: string, side: string, characters: string): string {
  const signs = [...text];
  const isOne = (sign: string | undefined): boolean => sign !== undefined && characters.includes(sign);
  let [from, to] = [0, signs.length];
  while (side !== 'rstrip' && isOne(signs[from])) from++;
  while (side !== 'lstrip' && to > from && isOne(signs[to - 1])) to--;
  return signs.slice(from, to).join('');
}

/** Python's `%` formatting, as far as templates use it. */
export function formatted(text: string, values: readonly (RuntimeValue | undefined)[]): string {
  let next = 0;
  const filled = text.replaceAll(/%(.?)/gs, (_, kind: string) => {
    if (kind === '%') return '%';
    const value = values[next++];
    if (value !== undefined && (kind === 's' || (kind === 'd' && typeof value.value === 'number')))
      return pythonText(value);
    throw new Error(`the filter format cannot fill in "%${kind}"`);
  });
  if (next === values.length) return filled;
  throw new Error('not all arguments of the filter format are filled in');
}
