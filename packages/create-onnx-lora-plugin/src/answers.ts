/** @file What is asked about a new plugin, what is taken where nothing is said, and what is refused. */

import path from 'node:path';
import validatePackageName from 'validate-npm-package-name';
import { CreateError } from './writeFolder.ts';

/** Licences that a plugin may have; `UNLICENSED` is one that is not published. */
export const licenses = ['Apache-2.0', 'MIT', 'UNLICENSED'] as const;

/** One of {@link licenses}. */
export type License = (typeof licenses)[number];

/** Kinds of tasks that a plugin may begin with: one that learns numbers, and one that learns labels. */
export const kinds = ['regression', 'classification'] as const;

/** One of {@link kinds}. */
export type Kind = (typeof kinds)[number];

/** What a plugin is made of. */
export interface Answers {
  /** The package's name: `onnx-lora-cells`, `@acme/onnx-lora-cells`. */
  readonly name: string;
  /** The model family, as `model_type` in config.json has it: `cell-net`. */
  readonly family: string;
  /** What the task learns: numbers, or labels. */
  readonly kind: Kind;
  /** The task, as `--task` takes it: `cell-counting`. */
  readonly task: string;
  /** The domain of both: `cells`. */
  readonly domain: string;
  /** One line. */
  readonly description: string;
  /** Whose it is. */
  readonly author: string;
  /** Under which terms. */
  readonly license: License;
}

/** The answers, in the order in which they are asked: a later one's default may follow from earlier ones. */
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

/** One question. */
export interface Question {
  readonly key: keyof Answers;
  /** What a terminal shows. */
  readonly text: string;
  /** What is taken where nothing is said. */
  readonly default: (known: Partial<Answers> & { readonly folder: string }) => string;
  /** What is wrong with an answer; undefined where nothing is. */
  readonly problem: (value: string) => string | undefined;
}

/**
 * All answers: those given, and the defaults of the rest.
 *
 * @param folder where the plugin is to be, which its name follows from
 * @throws CreateError for an answer that cannot be used, naming its flag
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
    : 'it must be of small letters, digits and hyphens, and begin with a letter';
}

function lineProblem(value: string): string | undefined {
  return /^[^\p{Cc}{}]{1,200}$/u.test(value)
    ? undefined
    : 'it must be one line of at most 200 characters, without braces';
}
