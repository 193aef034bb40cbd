/** @file Questions about a new plugin, with defaults and checks. */

import path from 'node:path';
import validatePackageName from 'validate-npm-package-name';
import { CreateError } from './writeFolder.ts';

/** Licences of a plugin; `UNLICENSED` means private. */
export const licenses = ['Apache-2.0', 'MIT', 'UNLICENSED'] as const;

/** One of {@link licenses}. */
export type License = (typeof licenses)[number];

/** Kinds of the plugin's task: it learns numbers or labels. */
export const kinds = ['regression', 'classification'] as const;

/** One of {@link kinds}. */
export type Kind = (typeof kinds)[number];

/** Facts of a plugin. */
export interface Answers {
  /** Package name: `onnx-lora-cells`, `@acme/onnx-lora-cells`. */
  readonly name: string;
  /** Model family, the `model_type` in config.json: `cell-net`. */
  readonly family: string;
  /** Kind of the task. */
  readonly kind: Kind;
  /** Task, as `--task` takes it: `cell-counting`. */
  readonly task: string;
  /** Domain of both: `cells`. */
  readonly domain: string;
  /** Description in one line. */
  readonly description: string;
  /** Author. */
  readonly author: string;
  /** Licence. */
  readonly license: License;
}

/** Questions in order: a default may use earlier answers. */
export const questions: readonly Question[] = [
  {
    key: 'name',
    text: 'Name of the package',
    default: ({ folder }) => path.basename(path.resolve(folder)),
    problem: (name) => {
      const { validForNewPackages, errors = [], warnings = [] } = validatePackageName(name);
      return validForNewPackages ? undefined : `npm refuses it: ${[...errors, ...warnings].join(', ')}`;
    },
  },
  { key: 'domain', text: 'Domain, such as cells', default: ({ name = '' }) => wordOf(name), problem: wordProblem },
  {
    key: 'family',
    text: 'Model family, as model_type in config.json has it',
    default: ({ domain = '' }) => `${domain}-net`,
    problem: wordProblem,
  },
  {
    key: 'kind',
    text: `Kind of task (${kinds.join(', ')})`,
    default: () => 'regression',
    problem: problemUnlessIn(kinds),
  },
  {
    key: 'task',
    text: 'Task, as --task takes it',
    default: ({ domain = '', kind = '' }) => `${domain}-${kind}`,
    problem: wordProblem,
  },
  {
    key: 'description',
    text: 'Description',
    default: ({ domain = '' }) => `Adapters for models of ${domain}.`,
    problem: lineProblem,
  },
  {
    key: 'author',
    text: 'Author',
    default: ({ name = '' }) => `The authors of ${name}`,
    problem: lineProblem,
  },
  {
    key: 'license',
    text: `Licence (${licenses.join(', ')})`,
    default: () => 'Apache-2.0',
    problem: problemUnlessIn(licenses),
  },
];

export interface Question {
  readonly key: keyof Answers;
  readonly text: string;
  readonly default: (known: Partial<Answers> & { readonly folder: string }) => string;
  /** The problem of an answer; undefined if valid. */
  readonly problem: (value: string) => string | undefined;
}

/**
 * Completes given answers by defaults.
 * @param folder of the plugin, which its name defaults to
 * @throws CreateError for an invalid answer, naming its flag
 */
export function completeAnswers(given: Partial<Record<keyof Answers, string>>, folder: string): Answers {
  const known: Partial<Record<keyof Answers, string>> = {};
  for (const { key, default: byDefault, problem } of questions) {
    const value = given[key] ?? byDefault({ ...(known as Partial<Answers>), folder });
    const wrong = problem(value);
    if (wrong !== undefined) throw new CreateError(`The ${key} "${value}" cannot be used: ${wrong}. Give --${key}.`);
    known[key] = value;
  }
  return known as Answers;
}

/** `@acme/onnx-lora-cells` → `cells`. */
function wordOf(name: string): string {
  const word = name
    .replace(/^@[^/]*\//, '')
    .replace(/^(?:create-)?onnx-lora-/, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^[-0-9]+|-+$/g, '');
  return word === '' ? 'samples' : word;
}

function problemUnlessIn(words: readonly string[]): (value: string) => string | undefined {
  return (value) => (words.includes(value) ? undefined : `it is none of ${words.join(', ')}`);
}

function wordProblem(value: string): string | undefined {
  return /^[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*$/.test(value)
    ? undefined
    : 'it must consist of lowercase letters, digits and hyphens, and begin with a letter';
}

function lineProblem(value: string): string | undefined {
  return /^[^\p{Cc}{}]{1,200}$/u.test(value)
    ? undefined
    : 'it must be one line of at most 200 characters, without braces';
}
