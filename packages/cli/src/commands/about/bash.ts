/** @file Completion in bash. */

import type { Completable, Completions } from './completable.ts';

/** The completion script for bash, from 3.2 (macOS) on. */
export function bashScript({ flags, commands }: Completable): string {
  const all = [{ name: '', flags, words: commands.map(({ name }) => name) }, ...commands];
  const values = new Map<string, string[]>();
  for (const { name, flags: own } of all) {
    for (const { short, long, value } of own) {
      if (!value) continue;
      const after = statement(value.completions);
      const spellings = (short === undefined ? [long] : [short, long]).map((flag) => `'${name} ${flag}'`);
      values.set(after, [...(values.get(after) ?? []), ...spellings]);
    }
  }
  const cases = [...values].map(([after, spellings]) => `    ${spellings.join('|')}) ${after} ;;`);
  const flagWords = all.map(({ name, flags: own }) => {
    const spellings = own.flatMap(({ short, long }) => (short === undefined ? [long] : [short, long]));
    return `      '${name}') ${statement(spellings)} ;;`;
  });
  const words = all.map(({ name, words: own }) => `      '${name}') ${statement(own)} ;;`);
  return `# Completes onnx-lora in bash. In ~/.bashrc: source <(onnx-lora completion bash)
_onnx_lora() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command= words= i
  # bash takes --flag=value for three words.
  if [[ $word == = ]]; then word=; elif [[ $before == = ]]; then before=\${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ \${COMP_WORDS[i]} != -* ]]; then command=\${COMP_WORDS[i]}; break; fi
  done
  COMPREPLY=()
  case "$command $before" in
${cases.join('\n')}
    *) if [[ $word == -* ]]; then case $command in
${flagWords.join('\n')}
    esac; else case $command in
${words.join('\n')}
    esac; fi ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o bashdefault -o default -F _onnx_lora onnx-lora`;
}

/** Without words bash falls back to file names, unless told otherwise. */
function statement(completions: Completions): string {
  if (completions === 'files') return 'return';
  if (completions === 'none') return 'compopt +o bashdefault +o default 2>/dev/null; return';
  return `words='${completions.join(' ')}'`;
}
