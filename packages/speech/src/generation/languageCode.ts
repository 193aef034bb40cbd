/** @file Languages as people call them, and as models do. */

/** Names that OpenAI's Whisper takes, and English calls otherwise. @see openai-whisper, whisper/tokenizer.py, TO_LANGUAGE_CODE */
const otherNames: Readonly<Record<string, string>> = {
  castilian: 'es',
  flemish: 'nl',
  haitian: 'ht',
  letzeburgesch: 'lb',
  mandarin: 'zh',
  moldavian: 'ro',
  moldovan: 'ro',
  myanmar: 'my',
  nynorsk: 'nn',
  panjabi: 'pa',
  pushto: 'ps',
  sinhalese: 'si',
  tagalog: 'tl',
  valencian: 'ca',
};

const names = new Intl.DisplayNames(['en'], { type: 'language' });

/**
 * The code among `known` of a language that is given as `es`, `spa`, `es-MX`, `es_MX`, `Spanish`, `Castilian` or `<|es|>`;
 * undefined where it is none of them.
 */
export function languageCode(given: string, known: Iterable<string>): string | undefined {
  const codes = new Set(known);
  const name = given.trim().replace(/^<\|(.*)\|>$/, '$1').toLowerCase().replaceAll('_', '-'); // prettier-ignore
  const tag = languageOf(name);
  for (const code of [name, name.split('-')[0]!, tag, otherNames[name]]) if (code !== undefined && codes.has(code)) return code; // prettier-ignore
  // Whisper calls Javanese jw, which is its code no more.
  return [...codes].find((code) => nameOf(code) === name || (tag !== undefined && languageOf(code) === tag));
}

function languageOf(tag: string): string | undefined {
  try {
    return new Intl.Locale(tag).language;
  } catch {
    return undefined;
  }
}

function nameOf(code: string): string | undefined {
  try {
    return names.of(code)?.toLowerCase();
  } catch {
    return undefined;
  }
}
