# Fisher's exact test of random count tables of two to four rows and columns. A table is written row by row, rows parted by a slash.
arguments <- commandArgs(trailingOnly = TRUE)
set.seed(11)
rows <- do.call(rbind, lapply(1:260, function(case) {
  size <- list(c(2, 2), c(2, 4), c(4, 2), c(3, 3), c(2, 3))[[case %% 5 + 1]]
  top <- c(3, 6, 12)[case %% 3 + 1]
  share <- rep(runif(size[1]), size[2])
  counts <- matrix(rbinom(prod(size), top, share), size[1])
  counts[1, 1] <- counts[1, 1] + 1
  p <- fisher.test(counts, workspace = 2e7)$p.value
  data.frame(case, counts = paste(apply(counts, 1, paste, collapse = " "), collapse = "/"), p_value = sprintf("%.17g", p))
}))
write.csv(rows, arguments[1], row.names = FALSE, quote = FALSE)
