// The part of Prism that the demo page uses.

export type Token = { type: string; content: string | Token | (string | Token)[] };
export const languages: Record<string, object>;
export function tokenize(text: string, grammar: object): (string | Token)[];
