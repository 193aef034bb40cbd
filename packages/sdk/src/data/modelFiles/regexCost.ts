/**
 * @file Detects regular expressions with catastrophic backtracking. A tokenizer.json is untrusted, and `(.+)+!` takes
 * twice as long per letter of a text. Refused are repetitions of parts that match in several ways, and adjacent
 * unbounded repetitions of the same character. Tokenizers in use (GPT-2, Llama, Qwen, SMILES) have neither.
 */

/** Sample characters of every kind, one bit each; the first stands for all others. */
const samples: readonly string[] = [
  ...Array.from({ length: 0x180 }, (_, i) => String.fromCharCode(i)),
  ...'▁ʰˇ̀҃ΑαЖж֊אء٠अ०々ก๑ადაᄀᐁ᠀Ḁẞὼῼ\u00a0\u200b\u200d\u2028\u2029\u202f‐–“”‰‿⁴ⁿ₀€⃝ℂℵⅣ←∀⌘①■☃⟨⠀ⱠⲀ⵰⸮⼀　〇ひカ㈠㎏一龥ꀀꙀꜧ가ﬁﷲ︵﹍：Ａａ１ｱ\ufeff\ufffd',
  ...'\u{10000}\u{1d400}\u{1d7ce}\u{1f600}\u{20000}\u{e0001}\u{f0000}',
];

type Chars = bigint;
const all: Chars = (1n << BigInt(samples.length)) - 1n;

interface Cost {
  /** Characters that it can match. */
  readonly chars: Chars;
  readonly min: number;
  readonly max: number;
  /** Unbounded repetitions in a row that can match one character. */
  readonly open: number;
  /** Number of ways to match the same text, where it is not open. */
  readonly ways: number;
  /** Characters at each position, if its length is fixed. */
  readonly places: readonly Chars[] | undefined;
  /** Characters that it can start with and that cannot occur later. */
  readonly mark: Chars;
}

/** Repetitions beyond this count as unbounded. */
const FEW = 8;
/** Ambiguity limit: a failing match tries all ways. */
const MAX_WAYS = 64;
const MAX_DEPTH = 60;
const MAX_LENGTH = 10_000;

/** The reason why an expression may be slow; undefined if it is not. */
export function backtrackingReason({ source, flags }: RegExp): string | undefined {
  if (source.length > MAX_LENGTH) return `it has more than ${MAX_LENGTH} characters`;
  try {
    new Reader(source, flags).read();
    return undefined;
  } catch (error) {
    if (error instanceof Slow) return error.message;
    throw error;
  }
}

class Slow extends Error {}

const nothing: Cost = { chars: 0n, min: 0, max: 0, open: 0, ways: 1, places: [], mark: 0n };

class Reader {
  readonly #source: string;
  readonly #flags: string;
  #at = 0;

  constructor(source: string, flags: string) {
    this.#source = source;
    this.#flags = flags.replace(/[gy]/g, '');
  }

  read(): void {
    this.#alternatives(0);
  }

  #alternatives(depth: number): Cost {
    if (depth > MAX_DEPTH) throw new Slow(`its groups are nested more than ${MAX_DEPTH} deep`);
    const of = [this.#sequence(depth)];
    while (this.#take('|')) of.push(this.#sequence(depth));
    if (of.length === 1) return of[0]!;
    const lengths = new Set(of.map(({ places }) => places?.length));
    const [length] = lengths;
    const places =
      lengths.size === 1 && length !== undefined
        ? Array.from({ length }, (_, i) => of.reduce((sum, each) => sum | each.places![i]!, 0n))
        : undefined;
    return {
      chars: of.reduce((sum, { chars }) => sum | chars, 0n),
      min: Math.min(...of.map(({ min }) => min)),
      max: Math.max(...of.map(({ max }) => max)),
      open: Math.max(...of.map(({ open }) => open)),
      ways: of.every((each, i) => of.slice(0, i).every((other) => areApart(each, other)))
        ? Math.max(...of.map(({ ways }) => ways))
        : of.reduce((sum, { ways }) => sum + ways, 0),
      places,
      mark: 0n,
    };
  }

  #sequence(depth: number): Cost {
    const parts: Cost[] = [];
    while (this.#at < this.#source.length && this.#source[this.#at] !== '|' && this.#source[this.#at] !== ')') {
      parts.push(this.#quantified(this.#atom(depth)));
    }
    return inARow(parts);
  }

  #atom(depth: number): Cost {
    const start = this.#at;
    const char = this.#next();
    if (char === '(') return this.#group(depth);
    if (char === '^' || char === '$') return nothing;
    if (char === '[') {
      this.#classEnd();
      return this.#set(start);
    }
    if (char !== '\\') return this.#set(start);
    const escaped = this.#next();
    if (escaped === 'b' || escaped === 'B') return nothing;
    if (/[1-9k]/.test(escaped)) throw new Slow('it refers back to what it has found');
    if (/[pPu]/.test(escaped) && this.#source[this.#at] === '{') this.#at = this.#source.indexOf('}', this.#at) + 1;
    else if (escaped === 'u') this.#at += 4;
    else if (escaped === 'x') this.#at += 2;
    else if (escaped === 'c') this.#at += 1;
    return this.#set(start);
  }

  #group(depth: number): Cost {
    const [prefix = ''] =
      /^\?(?:[:=!]|<[=!]|<[^>]*>|[a-z-]*:)/.exec(this.#source.slice(this.#at, this.#at + 100)) ?? [];
    this.#at += prefix.length;
    const inner = this.#alternatives(depth + 1);
    this.#take(')');
    if (!/^\?<?[=!]$/.test(prefix)) return inner;
    // A lookaround consumes nothing, but is tried at each position that the part before it reaches.
    const isOpen = inner.open > 0 || inner.max === Infinity;
    return { ...nothing, open: isOpen ? Math.max(1, inner.open) : 0, ways: inner.ways, places: undefined };
  }

  #quantified(part: Cost): Cost {
    const [min, max] = this.#quantifier();
    if (min === 1 && max === 1) return part;
    const isOpen = max - min > FEW;
    const places = min === max && part.places && min <= FEW ? Array.from({ length: min }, () => part.places!).flat() : undefined; // prettier-ignore
    if (part.max === 0) return { ...part, places: undefined };
    if (max > 1 && !isFixed(part) && !isMarked(part)) {
      throw new Slow('it repeats something that can be read in several ways');
    }
    return {
      chars: part.chars,
      min: part.min * min,
      max: part.max * max,
      // If the part is marked or of one length, its repetitions are unambiguous.
      open: isOpen ? Math.max(1, part.open) : part.open,
      ways: isOpen ? 1 : Math.max(1, part.ways) * (max - min + 1),
      places,
      mark: 0n,
    };
  }

  #quantifier(): readonly [number, number] {
    const found = /^(?:([*+?])|\{(\d+)(,?)(\d*)\})\??/.exec(this.#source.slice(this.#at, this.#at + 40));
    if (!found) return [1, 1];
    this.#at += found[0].length;
    const [, sign, least, comma, most] = found;
    if (sign !== undefined) return sign === '*' ? [0, Infinity] : sign === '+' ? [1, Infinity] : [0, 1];
    return [Number(least), comma === '' ? Number(least) : most === '' ? Infinity : Number(most)];
  }

  #set(start: number): Cost {
    const text = this.#source.slice(start, this.#at);
    const chars = charsOf(text, this.#flags);
    return { chars, min: 1, max: 1, open: 0, ways: 1, places: [chars], mark: chars };
  }

  /** Skips to the end of a class; with the flag `v`, classes nest. */
  #classEnd(): void {
    for (let depth = 1; depth > 0;) {
      const char = this.#next();
      if (char === '\\') this.#next();
      else if (char === ']') depth--;
      else if (char === '[' && this.#flags.includes('v')) depth++;
    }
  }

  /** Reads one character, which may be a surrogate pair. */
  #next(): string {
    const char = String.fromCodePoint(this.#source.codePointAt(this.#at) ?? 0);
    if (this.#at >= this.#source.length) throw new Slow('it cannot be read');
    this.#at += char.length;
    return char;
  }

  #take(text: string): boolean {
    const seen = this.#source.startsWith(text, this.#at);
    if (seen) this.#at += text.length;
    return seen;
  }
}

function inARow(parts: readonly Cost[]): Cost {
  let [open, ways] = [0, 1];
  parts.forEach((part, i) => {
    // An unambiguous part adds nothing.
    if (part.open === 0 && part.ways === 1) return;
    const run = runFrom(parts, i);
    open = Math.max(open, run.open);
    ways = Math.max(ways, run.ways);
  });
  const places = parts.every((part) => part.places) ? parts.flatMap((part) => part.places!) : undefined;
  const [first, ...rest] = parts;
  const later = rest.reduce((sum, { chars }) => sum | chars, 0n);
  return {
    chars: parts.reduce((sum, { chars }) => sum | chars, 0n),
    min: parts.reduce((sum, { min }) => sum + min, 0),
    max: parts.reduce((sum, { max }) => sum + max, 0),
    open,
    ways,
    places,
    mark: first !== undefined && (first.mark & later) === 0n ? first.mark : 0n,
  };
}

/** The ways to match a text of one repeated character from `first` on; a later failure tries all. @throws Slow */
function runFrom(parts: readonly Cost[], first: number): { open: number; ways: number } {
  let chars = all;
  let [open, ways] = [0, 1];
  const check = (): void => {
    if (open > 1) throw new Slow('several of its parts can each take any length of the same text');
    if (ways > MAX_WAYS) throw new Slow('it can read one text in many ways');
  };
  for (const part of parts.slice(first)) {
    if (part.max === 0) {
      open += part.open;
      ways *= part.ways;
      check();
      continue;
    }
    if (part.min > 0) check();
    if ((chars & part.chars) === 0n) {
      if (part.min > 0) break;
      continue;
    }
    chars &= part.chars;
    open += part.open;
    ways *= part.ways;
  }
  return { open, ways: Math.min(ways, 1e6) };
}

/** Whether it has one length and matches in one way. */
function isFixed({ min, max, ways, open }: Cost): boolean {
  return min === max && max > 0 && ways === 1 && open === 0;
}

/** Whether the first character marks the start of each repetition. */
function isMarked({ mark, min, ways, open }: Cost): boolean {
  return mark !== 0n && min > 0 && ways <= MAX_WAYS && open <= 1;
}

function areApart(a: Cost, b: Cost): boolean {
  if (!a.places || !b.places) return (a.mark & b.mark) === 0n && a.mark !== 0n && b.mark !== 0n;
  const length = Math.min(a.places.length, b.places.length);
  return a.places.slice(0, length).some((chars, i) => (chars & b.places![i]!) === 0n);
}

const known = new Map<string, Chars>();

/** The samples that one character of an expression matches. */
function charsOf(text: string, flags: string): Chars {
  const key = `${flags}/${text}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  let chars = 0n;
  try {
    const one = new RegExp(`^(?:${text})$`, flags);
    samples.forEach((sample, i) => {
      if (one.test(sample)) chars |= 1n << BigInt(i);
    });
  } catch {
    return all;
  }
  if (known.size > 1000) known.clear();
  // A rare character without a sample may be in any explicit set.
  if (chars === 0n) chars = 1n;
  known.set(key, chars);
  return chars;
}
