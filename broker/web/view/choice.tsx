import { Field } from './forms.tsx';

export interface Option {
  readonly value: string;
  readonly label: string;
}

/** One of several, by a menu. */
export function Choice({
  name,
  label,
  value,
  options,
  hint,
}: {
  readonly name: string;
  readonly label: string;
  readonly value: string;
  readonly options: readonly Option[];
  readonly hint?: string;
}) {
  const id = `choose-${name}`;
  return (
    <Field id={id} label={label} {...(hint !== undefined && { hint })}>
      <select id={id} name={name} aria-describedby={hint === undefined ? undefined : `${id}-hint`}>
        {options.map((option) => (
          <option key={option.value} value={option.value} selected={option.value === value}>
            {option.label}
          </option>
        ))}
      </select>
    </Field>
  );
}

/** A line to write. */
export function Line({
  name,
  label,
  value,
  hint,
  placeholder,
  required = false,
  numeric = false,
}: {
  readonly name: string;
  readonly label: string;
  readonly value?: string | undefined;
  readonly hint?: string;
  readonly placeholder?: string;
  readonly required?: boolean;
  readonly numeric?: boolean;
}) {
  const id = `write-${name}`;
  return (
    <Field id={id} label={label} {...(hint !== undefined && { hint })}>
      <input
        id={id}
        name={name}
        type="text"
        value={value}
        placeholder={placeholder}
        required={required}
        inputMode={numeric ? 'numeric' : undefined}
        autoComplete="off"
        autoCapitalize="none"
        spellcheck={false}
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
      />
    </Field>
  );
}
