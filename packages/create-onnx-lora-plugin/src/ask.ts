/** @file Asks on a terminal for answers that flags do not give. */

import { createInterface } from 'node:readline/promises';
import { type Answers, type Question, questions } from './answers.ts';
import { CreateError, requireFree } from './writeFolder.ts';

/** A terminal, or streams in tests. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
}

export interface Asked {
  readonly folder: string;
  readonly given: Partial<Record<keyof Answers, string>>;
}

/** Asks until each answer is valid; empty takes the default. @throws CreateError when the input ends early */
export async function ask(
  folder: string | undefined,
  flags: Partial<Record<keyof Answers, string>>,
  { input, output }: Terminal,
): Promise<Asked> {
  const lines = createInterface({ input, output });
  const ended = new Promise<never>((_, reject) =>
    lines.once('close', () => reject(new CreateError('Nothing was written: the questions were not answered.'))),
  );
  ended.catch(() => {});
  const line = async (text: string, byDefault: string): Promise<string> =>
    (await Promise.race([lines.question(`${text} [${byDefault}]: `), ended])).trim() || byDefault;
  try {
    const chosen = folder ?? (await line('Folder', 'onnx-lora-samples'));
    await requireFree(chosen);
    const given = { ...flags };
    for (const question of questions) given[question.key] ??= await answerTo(question, given, chosen, line, output);
    return { folder: chosen, given };
  } finally {
    lines.close();
  }
}

async function answerTo(
  { text, default: byDefault, problem }: Question,
  given: Asked['given'],
  folder: string,
  line: (text: string, byDefault: string) => Promise<string>,
  output: NodeJS.WritableStream,
): Promise<string> {
  for (;;) {
    const value = await line(text, byDefault({ ...(given as Partial<Answers>), folder }));
    const wrong = problem(value);
    if (wrong === undefined) return value;
    output.write(`  "${value}" cannot be used: ${wrong}.\n`);
  }
}
