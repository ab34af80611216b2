package main

import "github.com/spf13/cobra"

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the script that completes hangar's commands in a shell",
		Long:  "Print the script that completes hangar's commands in bash, zsh, fish or powershell.",
		Example: `  source <(hangar completion bash)
  hangar completion zsh > "${fpath[1]}/_hangar"
  hangar completion fish > ~/.config/fish/completions/hangar.fish`,
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      wrongUsage(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			default:
				return root.GenBashCompletionV2(out, true)
			}
		},
	}
}
