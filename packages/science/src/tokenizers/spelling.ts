/** @file A text as a tokenizer spells it, and which letter of the original each character of that is. */

/** A text as tokens spell it, and where in the original each of its characters begins and ends. */
export interface Spelling {
  readonly text: string;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** How far what a normaliser does to a whole text may be from what it does to its letters one by one. */
const farthest = 16;

/**
 * A text after a normaliser. Each character belongs to the letter that it was made of when letters are normalised one by one; one
 * that comes from none, such as a blank that is put around Chinese characters, to the letter that follows.
 *
 * @param whole what `normalise` made of the text
 */
export function normalisedSpelling(text: string, whole: string, normalise: (text: string) => string): Spelling {
  const letters = { text: '', starts: [] as number[], ends: [] as number[] };
  const known = new Map<string, string>();
  let at = 0;
  for (const letter of text) {
    const made = known.get(letter) ?? normalise(letter);
    known.set(letter, made);
    letters.text += made;
    for (let i = 0; i < made.length; i++) {
      letters.starts.push(at);
      letters.ends.push(at + letter.length);
    }
    at += letter.length;
  }
  if (letters.text === whole) return letters;
  const result = { text: whole, starts: [] as number[], ends: [] as number[] };
  let next = 0;
  for (const character of whole.split('')) {
    const found = letters.text.indexOf(character, next);
    const isMade = found >= 0 && found < next + farthest;
    const place = isMade ? found : next;
    result.starts.push(letters.starts[place] ?? text.length);
    result.ends.push((isMade ? letters.ends[place] : letters.starts[place]) ?? text.length);
    if (isMade) next = found + 1;
  }
  return result;
}

/** The character for each byte in GPT-2's vocabulary and its kin: the byte's own where it can be seen, else one from 256 on. */
const characters: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const isSeen = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    return String.fromCodePoint(isSeen ? byte : next++);
  });
})();
const encoder = new TextEncoder();

/** The same with a character for each byte, as byte-level tokens have them. */
export function inBytes({ text, starts, ends }: Spelling): Spelling {
  const result = { text: '', starts: [] as number[], ends: [] as number[] };
  const known = new Map<string, string>();
  let at = 0;
  for (const letter of text) {
    const bytes = known.get(letter) ?? Array.from(encoder.encode(letter), (byte) => characters[byte]!).join('');
    known.set(letter, bytes);
    result.text += bytes;
    for (let i = 0; i < bytes.length; i++) {
      result.starts.push(starts[at]!);
      result.ends.push(ends[at + letter.length - 1]!);
    }
    at += letter.length;
  }
  return result;
}
