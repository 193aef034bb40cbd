/** @file Texts of segments as one text. */

/** Languages that write no spaces between words. @see openai-whisper, whisper/tokenizer.py, split_to_word_tokens */
const unspaced: ReadonlySet<string> = new Set(['zh', 'ja', 'th', 'lo', 'my', 'yue']);

/** Whether words of a language, by its code, are written without spaces. English where nothing is said. */
export function isUnspaced(language: string | undefined): boolean {
  return language !== undefined && unspaced.has(language);
}

/** The texts behind each other, with spaces where their language has them. Empty ones are left out. */
export function joinTexts(texts: readonly string[], language?: string): string {
  const said = texts.map((text) => text.trim()).filter((text) => text !== '');
  return said.join(isUnspaced(language) ? '' : ' ');
}
