/** @file What answers have beside the text that is all that is printed of them. */

import type { Answer } from '@onnx-lora/sdk/tasks';

/** Gathers, answer by answer, the names of what is not printed. */
export class BeyondText {
  readonly #names = new Set<string>();

  /** The answers as they are; each is looked at when it is asked for. */
  async *watched(answers: AsyncIterable<Answer>): AsyncGenerator<Answer> {
    for await (const answer of answers) {
      const { prediction, isPart = false } = answer;
      if (!isPart && typeof prediction['text'] === 'string')
        for (const [name, value] of Object.entries(prediction))
          if (name !== 'text' && name !== 'file' && value !== undefined) this.#names.add(name);
      yield answer;
    }
  }

  /** What the user is to know at the end; undefined where everything was printed. */
  get note(): string | undefined {
    if (this.#names.size === 0) return undefined;
    return `Answers have more than their text (${[...this.#names].join(', ')}): --json or --out FILE shows all of it.`;
  }
}
