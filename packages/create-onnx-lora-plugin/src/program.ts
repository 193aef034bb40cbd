/** @file The command: parses arguments, writes the folder, and prints the next steps. */

import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Answers, completeAnswers, questions } from './answers.ts';
import { ask, type Asked, type Terminal } from './ask.ts';
import { filesOf, version } from './template.ts';
import { CreateError, writeFolder } from './writeFolder.ts';

export interface Surroundings extends Terminal {
  readonly errors: NodeJS.WritableStream;
  /** Whether it can ask questions. */
  readonly isTerminal: boolean;
}

const HELP = `Usage: npx create-onnx-lora-plugin [FOLDER] [options]

Writes a plugin for onnx-lora: a model family, a task, a preprocessor, tests. Asks on a terminal for what is not given.

${questions.map(({ key, text }) => `  ${`--${key} TEXT`.padEnd(22)}${text}`).join('\n')}
  --yes                 takes the defaults of what is not given, without asking
  --help                prints this

Example:
  npx create-onnx-lora-plugin ../onnx-lora-cells --family cell-net --task cell-counting --yes
`;

/**
 * Runs the command.
 * @param words the arguments
 * @returns the exit code: 0, or 2 for a user's mistake
 */
export async function main(words: readonly string[], surroundings: Surroundings): Promise<number> {
  const { output, errors } = surroundings;
  try {
    const { folder, flags, yes, help } = parsed(words);
    if (help) {
      output.write(HELP);
      return 0;
    }
    const asked = yes || !surroundings.isTerminal ? unasked(folder, flags) : await ask(folder, flags, surroundings);
    const { name } = await createPlugin(asked.folder, asked.given);
    output.write(`${name} is in ${asked.folder}. Next:\n\n${nextSteps(asked.folder)}`);
    return 0;
  } catch (error) {
    if (!(error instanceof CreateError)) throw error;
    errors.write(`error: ${error.message}\n`);
    return 2;
  }
}

function nextSteps(folder: string): string {
  if (version !== '0.0.0') return `  cd ${folder}\n  npm install\n  npm test\n`;
  return `  npm run pack -- ${path.join(folder, 'packages')}
  cd ${folder}
  npm install --save-dev ./packages/onnx-lora-*.tgz
  npm test

The first line is for a clone of onnx-lora, whose packages are not on npm yet.
`;
}

function unasked(folder: string | undefined, given: Asked['given']): Asked {
  if (folder !== undefined) return { folder, given };
  throw new CreateError('No folder is named. Name it: npx create-onnx-lora-plugin ../onnx-lora-cells');
}

interface Parsed {
  readonly folder: string | undefined;
  readonly flags: Partial<Record<keyof Answers, string>>;
  readonly yes: boolean;
  readonly help: boolean;
}

function parsed(words: readonly string[]): Parsed {
  try {
    const texts = Object.fromEntries(questions.map(({ key }) => [key, { type: 'string' as const }]));
    const { values, positionals } = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        ...texts,
        yes: { type: 'boolean', short: 'y', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const [folder, second] = positionals;
    if (second !== undefined) throw new Error(`"${second}" is one word too many`);
    const { yes, help, ...flags } = values as Record<string, unknown>;
    return { folder, flags: flags as Parsed['flags'], yes: yes === true, help: help === true };
  } catch (cause) {
    const message = (cause as Error).message.split(/\.\s|\n/, 1)[0]!;
    throw new CreateError(`${message}. See npx create-onnx-lora-plugin --help.`, { cause });
  }
}

/**
 * Writes a plugin with its tests. Nothing is installed.
 * @example
 * await createPlugin('onnx-lora-cells', { family: 'cell-net', task: 'cell-counting' });
 * @param folder is created; if it exists it must be empty
 * @param given answers; others default from the folder's name
 * @returns all answers
 * @throws CreateError for an invalid answer, and a folder that is not empty or not writable
 */
export async function createPlugin(
  folder: string,
  given: Partial<Record<keyof Answers, string>> = {},
): Promise<Answers> {
  const answers = completeAnswers(given, folder);
  await writeFolder(folder, filesOf(answers));
  return answers;
}
